"""The heat map's numbers are the probe's, averaged over finished seeds, at the last measured epoch."""

import numpy as np
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence import figures
from gengap.evidence.figures import layer_reset

DEAD = "width=4,init=he,seed=3"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def found(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("results")
    return synthetic.collected(folder, made, status={DEAD: "dead"}, epochs={"width=64,init=he,seed=1": 12})


def test_errors_are_means_over_finished_runs_in_percent(made, found):
    data = layer_reset.data(found)
    assert list(data["group"].unique()) == ["width 4", "width 64"]
    seeds = [0, 1, 2, 4]
    for layer in ("block1.conv1", "output"):
        mine = data[(data["group"] == "width 4") & (data["layer"] == layer)].set_index("reset")
        assert list(mine.index) == ["0", "1", "2", "5", "10", "fresh"]
        cells = [made.cells[f"width=4,init=he,seed={seed}"] for seed in seeds]
        expected = 100 * np.array([synthetic.resets(cell, cell.seed)[layer] for cell in cells])
        assert mine["mean"].tolist() == pytest.approx(expected.mean(axis=0).tolist())
        assert mine["min"].tolist() == pytest.approx(expected.min(axis=0).tolist())
        assert mine["max"].tolist() == pytest.approx(expected.max(axis=0).tolist())
        assert set(mine["n"]) == {4}
    own = data[data["reset"] == "none"]
    assert own["mean"].tolist() == pytest.approx([15, 15])  # the made-up networks' own error
    assert set(own["layer"]) == {""}


def test_layers_keep_the_order_of_the_network_and_dark_is_worse(found):
    figure = figures.plot("layer_reset", found)
    upper = figure.axes[0]
    assert [label.get_text() for label in upper.get_yticklabels()] == list(synthetic.LAYERS)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["0", "1", "2", "5", "10", "fresh"]
    mesh = upper.collections[0]
    lightness = mesh.cmap(mesh.norm(mesh.get_array().ravel()))[:, :3].sum(axis=1)
    order = np.argsort(mesh.get_array().ravel())
    assert (np.diff(lightness[order]) <= 1e-12).all()


def test_a_missing_probe_is_named(tmp_path, made):
    with pytest.raises(UserError, match=r"was not measured. List 'layer_reset' under `probes`"):
        layer_reset.data(synthetic.collected(tmp_path, made, probes=("performance",)))
