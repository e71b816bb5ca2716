"""The figure's numbers are the probe's, averaged over finished seeds, at the last measured epoch."""

import numpy as np
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence import figures
from gengap.evidence.figures import path

DEAD = "width=4,init=he,seed=3"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic.study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def found(tmp_path_factory, made):
    return synthetic.collected(tmp_path_factory.mktemp("results"), made, status={DEAD: "dead"})


def test_numbers_are_means_over_finished_runs_accuracy_in_percent(made, found):
    data = path.data(found)
    assert list(data["group"].unique()) == ["width 4", "width 64"]
    cells = [(name, made.cells[name], 20.0) for name in (f"width=4,init=he,seed={seed}" for seed in (0, 1, 2, 4))]
    expected = {array.quantity: array.values for array in synthetic.path_arrays(cells)}
    for quantity, scale in (("train_accuracy_along_path", 100), ("test_loss_along_path", 1)):
        mine = data[(data["group"] == "width 4") & (data["quantity"] == quantity)]
        np.testing.assert_allclose(mine["position"], np.linspace(-1, 2, 25))
        np.testing.assert_allclose(mine["mean"], scale * expected[quantity].mean(axis=0))
        np.testing.assert_allclose(mine["min"], scale * expected[quantity].min(axis=0))
        np.testing.assert_allclose(mine["max"], scale * expected[quantity].max(axis=0))
        assert set(mine["n"]) == {4}


def test_the_checkpoints_are_marked(found):
    for axes in figures.plot("path", found).axes:
        marked = {line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2}
        assert marked == {0, 1}
        assert axes.get_xlim() == (-1, 2)


def test_a_missing_probe_is_named(tmp_path, made):
    with pytest.raises(UserError, match=r"was not measured. List 'path' under `probes`"):
        path.data(synthetic.collected(tmp_path, made, probes=("performance",)))
