"""The examples in the documents are studies that gengap accepts."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from subjects import by_name, one_network, subject

from gengap.evidence.measurements import Evidence
from gengap.labels.pool import Pool
from gengap.studies.settings import Labels
from gengap.studies.simulation import load_simulation
from gengap.studies.study import load_study

ROOT = Path(__file__).parent.parent


def part(path):
    """What a complete part of docs/adding.md defines, by the path that its first line names."""
    text = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
    block = re.search(rf"```python\n# {re.escape(path)}\n(.*?)```", text, re.DOTALL)
    assert block is not None
    names = {"__name__": "example"}
    exec(compile(block[1], path, "exec"), names)
    return names


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


def test_the_example_label_rule_moves_training_labels_alone():
    labels = np.arange(2000) % 3
    pool = Pool(Path("made.h5"), torch.zeros(2000, 1, 1, 1), labels, 1000, ("a", "b", "c"), False)
    settings = Labels().model_copy(update={"moved_share": 0.2})
    found = part("plugins/labels/neighbour_noise.py")["select"](settings, pool)
    moved = (found.train_labels - labels[found.train_indices]) % 3
    assert set(moved) == {0, 1}
    assert moved.mean() == pytest.approx(0.2, abs=0.05)
    assert (found.test_labels == labels[found.test_indices]).all()


def test_the_example_probe_counts_units_that_are_ever_active():
    made = subject({"samples": None})
    found = by_name(part("plugins/probes/active_units.py")["measure"](made))
    layers = [layer for _, layer in found]
    assert len(layers) > 1
    seen = {}
    network = one_network(made, 1)
    for layer in layers:
        network.get_submodule(layer).register_forward_hook(lambda *call, layer=layer: seen.update({layer: call[2]}))
    network(made.train_images)
    for layer in layers:
        share = (seen[layer] > 0).flatten(1).any(dim=0).double().mean()
        assert found["active_share", layer][1].item() == pytest.approx(share.item())


def test_the_example_figure_draws_the_means_of_finished_networks():
    cells = pd.DataFrame({"cell": ["a", "b"], "seed": [0, 1], "status": ["finished", "dead"]})
    rows = [(cell, epoch, "relu", "active_share", 0.25 * (1 + epoch)) for cell in ("a", "b") for epoch in (0.0, 1.0)]
    rows += [("a", 1.0, "relu", "other", 9.0)]
    measured = pd.DataFrame(rows, columns=["cell", "epoch", "layer", "quantity", "value"])
    measured.loc[measured["cell"] == "b", "value"] = 1.0
    study = {"name": "made", "axes": ["seed"], "fixed": {}, "varied": [], "reduced": False}
    evidence = Evidence(study, cells, pd.DataFrame(), measured, pd.DataFrame(), Path("made.h5"))
    figure = part("plugins/evidence/figures/active_units.py")
    (axes,) = figure["plot"](figure["data"](evidence), evidence).axes
    (line,) = axes.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0.0, 1.0], [25.0, 50.0])
