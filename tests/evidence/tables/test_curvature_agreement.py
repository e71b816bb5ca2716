"""Lanczos' method against the whole spectrum: known differences, and what cannot be compared."""

import dataclasses

import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence.figures import curvature as figure
from gengap.evidence.measurements import with_options
from gengap.evidence.tables import curvature_agreement
from gengap.studies.study import Table

GRID = {"seed": [0, 1]}


@pytest.fixture
def found(tmp_path):
    made = synthetic.collected(tmp_path, synthetic.study(tmp_path, GRID))
    return with_options(made, Table(name="curvature_agreement"))


def moved(evidence, cell, quantity, factor, epoch):
    """The evidence with one value of Lanczos' method off by a factor."""
    rows = evidence.measurements.copy()
    chosen = (rows["cell"] == cell) & (rows["quantity"] == quantity) & (rows["epoch"] == epoch)
    rows.loc[chosen & (rows["probe"] == "hessian_extremes"), "value"] *= factor
    return dataclasses.replace(evidence, measurements=rows)


def test_the_largest_difference_is_found_and_judged(found):
    table = curvature_agreement.table(moved(found, "seed=1", "hessian_largest", 1.01, 20.0))
    rows = table.set_index(["cell", "eigenvalue"])
    assert list(table["epochs"]) == [2] * 4
    fine, bad = rows.loc[("seed=0", "largest")], rows.loc[("seed=1", "largest")]
    assert (float(fine["largest_difference"]), fine["within_0.001"]) == (1e-4, "yes")
    assert (float(bad["largest_difference"]), bad["at_epoch"], bad["within_0.001"]) == (0.01, "20", "no")
    assert rows.loc[("seed=1", "smallest"), "within_0.001"] == "yes"


def test_the_tolerance_is_an_option(found):
    changed = moved(found, "seed=1", "hessian_largest", 1.01, 20.0)
    wide = Table.model_validate({"name": "curvature_agreement", "tolerance": 0.02})
    table = curvature_agreement.table(with_options(changed, wide))
    assert table.set_index(["cell", "eigenvalue"]).loc[("seed=1", "largest"), "within_0.02"] == "yes"


def test_a_missing_value_is_not_within_the_tolerance(found):
    table = curvature_agreement.table(moved(found, "seed=0", "hessian_largest", float("nan"), 0.0))
    assert table.set_index(["cell", "eigenvalue"]).loc[("seed=0", "largest"), "within_0.001"] == "no"


def test_a_probe_that_is_missing_is_named(tmp_path):
    made = synthetic.study(tmp_path, GRID)
    alone = synthetic.collected(tmp_path, made, probes=("hessian_spectrum",))
    alone = with_options(alone, Table(name="curvature_agreement"))
    with pytest.raises(UserError, match="List 'hessian_extremes' under `probes`"):
        curvature_agreement.table(alone)


def test_modes_are_never_mixed(found):
    rows = found.measurements.copy()
    rows.loc[rows["probe"] == "hessian_extremes", "batchnorm"] = "batch"
    with pytest.raises(UserError, match="share no epoch and BatchNorm mode"):
        curvature_agreement.table(dataclasses.replace(found, measurements=rows))


def test_the_figure_shows_both_ends_and_every_eigenvalue(found):
    data = figure.data(found)
    smallest = data[(data["quantity"] == "hessian_smallest") & (data["epoch"] == 20)].set_index("probe")
    values = [synthetic.eigenvalues(cell, cell.seed, 20.0)[0] for cell in cells(found)]
    expected = [sum(values) / 2, min(values), max(values)]
    assert smallest.loc["hessian_spectrum", ["mean", "min", "max"]].tolist() == pytest.approx(expected)
    assert smallest.loc["hessian_extremes", "mean"] == pytest.approx(expected[0] * (1 + 1e-4))
    bins = data[data["quantity"] == "hessian_eigenvalues"]
    assert bins.groupby("epoch")["mean"].sum().tolist() == pytest.approx([100.0, 100.0])
    assert (bins["low"] < bins["high"]).all()
    largest = bins[(bins["epoch"] == 20) & (bins["mean"] > 0)].nlargest(1, "high").iloc[0]
    assert (largest["low"], largest["mean"]) == (pytest.approx(40 * 10 ** (-1 / 6), rel=0.1), pytest.approx(2.5))


def cells(evidence):
    from gengap.studies.settings import Cell

    return [Cell(seed=seed) for seed in (0, 1)]
