"""The plotted numbers are the measured ones: means and ranges over finished seeds, in units of display."""

import numpy as np
import pandas as pd
import pytest
import synthetic

from gengap import registry
from gengap.errors import UserError
from gengap.evidence.figures import accuracy_by_width, gradient_norm, layer_gradients, learning_curves
from gengap.evidence.figures.groups import curves, labelled
from gengap.evidence.measurements import with_options
from gengap.studies.study import Figure

DEAD, DIVERGED = "width=4,init=he,seed=3", "width=4,init=he,seed=4"
FAILED = {DEAD: "dead", DIVERGED: "diverged"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def found(tmp_path_factory, made):
    return synthetic.collected(tmp_path_factory.mktemp("results"), made, status=FAILED)


def values(made, width, seeds, epoch, quantity):
    cells = [made.cells[f"width={width},init=he,seed={seed}"] for seed in seeds]
    return [synthetic.curve(cell, cell.seed, epoch)[quantity] for cell in cells]


def test_accuracy_is_the_mean_over_finished_runs_in_percent(made, found):
    data = accuracy_by_width.data(found)
    for width, seeds in ((4, range(3)), (64, range(5))):
        mine = data[(data["x"] == width) & (data["split"] == "test")].set_index("statistic")["value"]
        expected = 100 * np.array(values(made, width, seeds, 20, "test_accuracy"))
        assert sorted(mine["run"]) == pytest.approx(sorted(expected))
        assert (mine["mean"], mine["min"], mine["max"]) == pytest.approx(
            (expected.mean(), expected.min(), expected.max())
        )
    assert not {DEAD, DIVERGED} & set(data["cell"])


def test_learning_curves_compare_the_narrowest_with_the_widest(made, found):
    data = learning_curves.data(found)
    assert list(data["group"].unique()) == ["width 4", "width 64"]
    assert set(data["batchnorm"]) == {"running"}
    row = data[(data["group"] == "width 4") & (data["quantity"] == "train_loss") & (data["epoch"] == 9)].iloc[0]
    expected = values(made, 4, range(3), 9, "train_loss")
    assert row["n"] == 3
    assert (row["mean"], row["min"], row["max"]) == pytest.approx((np.mean(expected), min(expected), max(expected)))


def test_gradient_norms_are_the_probes(made, found):
    data = gradient_norm.data(found)
    assert set(data["epoch"]) == set(synthetic.SNAPSHOTS)
    row = data[(data["group"] == "width 64") & (data["epoch"] == 0.25)].iloc[0]
    cells = [made.cells[f"width=64,init=he,seed={seed}"] for seed in range(5)]
    norms = [np.linalg.norm(list(synthetic.gradients(cell, cell.seed, 0.25).values())) for cell in cells]
    assert row["mean"] == pytest.approx(np.mean(norms))


def test_layers_keep_the_networks_order_and_the_first_epochs(found):
    data = layer_gradients.data(with_options(found, Figure(name="layer_gradients")))
    for _, own in data[data["layer"] != ""].groupby("group"):
        assert tuple(own["layer"].unique()) == synthetic.LAYERS
    assert data["epoch"].max() == 5.0
    assert set(data.loc[data["layer"] == "", "quantity"]) == {"gradient_ratio"}


def test_more_panels_than_four_are_left_out_of_both_widths_alike(tmp_path):
    grid = {"model.width": [4, 8, 16], "optimizer.lr": [0.1, 0.01, 0.001], "seed": [0]}
    found = synthetic.collected(tmp_path, synthetic.study(tmp_path, grid), probes=("gradient",))
    assert list(layer_gradients.data(with_options(found, Figure(name="layer_gradients")))["group"].unique()) == [
        *("width 4, learning rate 0.1", "width 4, learning rate 0.01"),
        *("width 16, learning rate 0.1", "width 16, learning rate 0.01"),
    ]


def test_a_run_that_stopped_early_keeps_its_last_value():
    rows = [("a", epoch, value) for epoch, value in ((0, 1.0), (1, 2.0), (2, 4.0), (3, 6.0))]
    rows += [("b", epoch, value) for epoch, value in ((0, 3.0), (1, 10.0), (1.5, 20.0))]
    table = pd.DataFrame(rows, columns=["cell", "epoch", "value"]).assign(quantity="train_loss", batchnorm="exact")
    cells = pd.DataFrame({"cell": ["a", "b"], "group": "all", "status": "finished"})
    data = curves(table, cells)
    # Epoch 1.5, at which only b was measured while a was still running, is left out.
    assert list(data["epoch"]) == [0, 1, 2, 3]
    assert list(data["mean"]) == [2, 6, 12, 13]
    assert list(data["max"]) == [3, 10, 20, 20]
    assert set(data["n"]) == {2}


def test_groups_are_named_by_the_axes_that_vary_in_the_order_of_width(tmp_path):
    grid = {"model.width": [16, 4], "init": ["he"], "optimizer.lr": [0.1, 0.2], "seed": [0, 1]}
    found = synthetic.collected(tmp_path, synthetic.study(tmp_path, grid), probes=("performance",), snapshots=())
    assert list(labelled(found)["group"].unique()) == [
        *("width 4, learning rate 0.1", "width 4, learning rate 0.2"),
        *("width 16, learning rate 0.1", "width 16, learning rate 0.2"),
    ]
    assert list(labelled(found, apart=["width"])["group"].unique()) == ["learning rate 0.1", "learning rate 0.2"]


def test_a_setting_that_is_off_is_named_so(tmp_path):
    grid = {"training.switch_epoch": [None, 1], "model.width": [4], "seed": [0]}
    found = synthetic.collected(tmp_path, synthetic.study(tmp_path, grid), probes=("performance",), snapshots=())
    assert set(labelled(found)["group"]) == {"no switch", "switch at epoch 1"}


@pytest.mark.parametrize(
    ("name", "probe"),
    [("accuracy_by_width", "performance"), ("gradient_norm", "gradient"), ("layer_gradients", "gradient")],
)
def test_a_missing_probe_is_named(tmp_path, made, name, probe):
    others = tuple({"performance", "gradient"} - {probe})
    found = synthetic.collected(tmp_path, made, probes=others)
    with pytest.raises(UserError, match=f"study 'made_up': .* was not measured. List '{probe}' under `probes`"):
        registry.load("figure", name).data(with_options(found, Figure(name=name)))


def test_layer_gradients_without_early_epochs_say_so(tmp_path, made):
    found = synthetic.collected(tmp_path, made, snapshots=(10.0,))
    with pytest.raises(UserError, match=r"first 5 epochs.*snapshots"):
        layer_gradients.data(with_options(found, Figure(name="layer_gradients")))


def test_many_groups_of_learning_curves_are_spread_over_panels(tmp_path):
    grid = {"model.width": [4, 8, 64], "init": ["he", "xavier"], "optimizer.lr": [0.1, 0.01], "seed": [0, 1]}
    made = synthetic.study(tmp_path, grid)
    lost = {name: "dead" for name, cell in made.cells.items() if cell.optimizer.lr == 0.01}
    data = learning_curves.data(synthetic.collected(tmp_path, made, status=lost, probes=("performance",), snapshots=()))
    assert list(data["group"].unique()) == [f"width {w}, {init} init" for w in (4, 64) for init in ("He", "Xavier")]
    assert set(data["panel"]) == {"learning rate 0.1"}
    row = data[(data["group"] == "width 64, He init") & (data["quantity"] == "test_loss") & (data["epoch"] == 3)].iloc[
        0
    ]
    cells = [made.cells[f"width=64,init=he,lr=0.1,seed={seed}"] for seed in (0, 1)]
    assert row["mean"] == pytest.approx(np.mean([synthetic.curve(c, c.seed, 3)["test_loss"] for c in cells]))


def test_panels_beyond_the_twelfth_are_counted(tmp_path):
    rates = [0.1 / 2**power for power in range(13)]
    made = synthetic.study(tmp_path, {"model.width": [4, 64], "optimizer.lr": rates, "seed": [0]})
    found = synthetic.collected(tmp_path, made, probes=("performance",), snapshots=())
    data = learning_curves.data(found)
    assert list(data["panel"].unique()) == [f"learning rate {rate}" for rate in rates[:12]]
    assert set(data["group"]) == {"width 4", "width 64"}
    figure = learning_curves.plot(data, found)
    assert figure.get_suptitle() == "one seed; 2 more groups not shown"
    assert [len(axes.lines) for axes in figure.axes] == [4] * 24
