"""Networks that were removed by hand are told, and how to make them again."""

import shutil
from pathlib import Path

import pytest
from tiny_study import STUDY

from gengap import layout
from gengap.studies import removed
from gengap.studies.jobs import Plan
from gengap.studies.study import load_study


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The tiny study, of which everything is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY)
    made = Plan({"tiny": load_study(tmp_path / "tiny.yaml")}, {})
    for job in made.made_from_data("tiny"):
        for path in map(Path, job.outputs.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return made


def test_nothing_is_told_where_all_is_there(plan):
    assert removed.told(plan, "tiny", set()) == []


@pytest.mark.parametrize(
    "file",
    [
        layout.weights("tiny", "width=2_pack=0"),
        layout.history("tiny", "width=3_pack=0"),
        layout.probe("tiny", "width=2_pack=0", "performance"),
    ],
)
def test_a_file_that_is_gone_is_told_with_the_command(plan, file):
    Path(file).unlink()
    (line,) = removed.told(plan, "tiny", set())
    assert line.startswith(f"  not there: {file}. Figures and tables are up to date without it; ")
    assert line.endswith(f"made again by: snakemake {file}")
    assert removed.told(plan, "tiny", {Path(file)}) == []  # a run makes it by itself


def test_many_files_are_counted(plan):
    shutil.rmtree(layout.packs("tiny"))
    (line,) = removed.told(plan, "tiny", set())
    assert "weights.h5 and 5 more files. Figures and tables are up to date without them" in line
    assert line.endswith(" ...")
