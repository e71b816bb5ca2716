"""The examples in the documents are studies that gengap accepts."""

import re
from pathlib import Path

import pytest

from gengap.studies.simulation import load_simulation
from gengap.studies.study import load_study

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "docs/adding.md"])
def test_the_example_study_is_valid(page, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    block = re.search(r"```yaml\n((?:# yaml-language-server[^\n]*\n)?title:.*?)```", text, re.DOTALL)
    assert block is not None
    path = tmp_path / "example.yaml"
    path.write_text(block[1])
    study = load_study(path)
    assert len(study.cells) == 3 * 2 * 5
    if "reduced:" in block[1]:
        assert len(load_study(path, reduced=True).cells) == 3 * 2 * 2


def test_the_example_simulation_is_valid(tmp_path):
    text = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(title:[^`]*simulation:.*?)```", text, re.DOTALL)
    assert block is not None
    path = tmp_path / "example.yaml"
    path.write_text(block[1])
    assert load_simulation(path).n_draws == 300
    assert load_simulation(path, reduced=True).n_draws == 30
