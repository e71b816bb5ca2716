"""Counts against the batch size: means by hand, epochs apart, and a picture for zeros, one size and no measurement."""

from pathlib import Path

import pandas as pd
import pytest

from gengap import layout
from gengap.errors import UserError
from gengap.evidence import figures
from gengap.evidence.figures import near_rank_by_batch_size, near_rank_controls
from gengap.evidence.figures.near_rank import points
from gengap.evidence.measurements import Evidence


def evidence(counts, *, axes=("batch_size", "seed"), fixed=None, status=None, quantity="near_rank"):
    """Made-up counts by (values of the axes) -> {epoch: count}; a layer's own count must be left out."""
    cells, rows = [], []
    for values, by_epoch in counts.items():
        name = ",".join(f"{axis}={value}" for axis, value in zip(axes, values, strict=True))
        state = (status or {}).get(name, "finished")
        cells.append({"cell": name, **dict(zip(axes, values, strict=True)), "status": state})
        for epoch, count in by_epoch.items():
            rows += [(name, epoch, "", quantity, count, "exact", "near_rank")]
            rows += [(name, epoch, "output/mode=matrix", quantity, 1e6, "exact", "near_rank")]
    columns = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
    return Evidence(
        study={"name": "made_up", "axes": list(axes), "fixed": fixed or {}, "reduced": False},
        cells=pd.DataFrame(cells),
        history=pd.DataFrame(),
        measurements=pd.DataFrame(rows, columns=columns),
        failures=pd.DataFrame(),
        path=Path("nowhere"),
    )


def by_place(table):
    return {
        (row["x"], row["when"]): (row["n"], row["mean"], row["min"], row["max"]) for row in table.to_dict("records")
    }


def test_first_and_last_epoch_are_apart_and_failed_runs_left_out():
    counts = {(128, 0): {0: 2.0, 5: 50.0, 9: 10.0}, (128, 1): {0: 4.0, 9: 30.0}, (512, 0): {0: 6.0, 7: 70.0}}
    counts[512, 1] = {0: 0.0, 7: 1e9}
    found = points(evidence(counts, status={"batch_size=512,seed=1": "dead"}), ["near_rank"])
    assert by_place(found) == {
        (128, "trained"): (2, 20.0, 10.0, 30.0),
        (128, "untrained"): (2, 3.0, 2.0, 4.0),
        (512, "trained"): (1, 70.0, 70.0, 70.0),
        (512, "untrained"): (1, 6.0, 6.0, 6.0),
    }


def test_an_axis_that_the_batch_size_decides_names_no_group():
    counts = {(128, 60, 0): {0: 1.0}, (512, 239, 0): {0: 2.0}}
    found = points(evidence(counts, axes=("batch_size", "epochs", "seed")), ["near_rank"])
    assert found["group"].nunique() == 1


def test_widths_are_on_the_axis_where_there_are_more_of_them():
    counts = {(8192, width, 0): {0: 1.0} for width in (6, 12, 24)}
    found = points(evidence(counts, axes=("batch_size", "width", "seed")), ["near_rank"])
    assert list(found["x"]) == [6, 12, 24]


def test_without_either_axis_the_fixed_batch_size_is_the_place():
    found = points(evidence({(0,): {0: 3.0}}, axes=("seed",), fixed={"batch_size": "64"}), ["near_rank"])
    assert by_place(found) == {(64, "untrained"): (1, 3.0, 3.0, 3.0)}


@pytest.mark.parametrize("name", ["near_rank_by_batch_size", "near_rank_controls"])
@pytest.mark.parametrize("count", [0.0, pytest.param(12.0, marks=pytest.mark.thorough)])
def test_a_picture_even_of_zeros_and_of_panels_without_measurements(name, count, tmp_path):
    found = evidence({(128, 0): {0: 0.0, 9: count}, (512, 0): {0: 0.0, 9: 2 * count}})
    files = {key: tmp_path / path for key, path in layout.figure_files("made_up", name).items()}
    figures.draw(name, found, files)
    assert sorted(pd.read_csv(files["csv"])["mean"]) == [0.0, 0.0, count, 2 * count]


def test_a_panel_of_zeros_has_no_other_tick():
    found = evidence({(128, 0): {0: 0.0, 9: 0.0}, (512, 0): {0: 0.0, 9: 0.0}})
    panel = near_rank_controls.plot(near_rank_controls.data(found), found).axes[1]
    assert list(panel.get_yticks()) == [0]


@pytest.mark.parametrize(("large", "ticks"), [(30_000.0, [0, 1e3, 1e4]), (1e12, [0, 1e3, 1e5, 1e7, 1e9, 1e11])])
def test_beside_a_zero_ticks_are_powers_from_the_smallest_mean_on(large, ticks):
    found = evidence({(128, 0): {9: 2000.0}, (512, 0): {9: large}, (1024, 0): {9: 0.0}})
    panel = near_rank_by_batch_size.plot(near_rank_by_batch_size.data(found), found).axes[0]
    assert list(panel.get_yticks()) == pytest.approx(ticks)


@pytest.mark.parametrize("module", [near_rank_by_batch_size, near_rank_controls])
def test_a_missing_probe_is_named(module):
    with pytest.raises(UserError, match="List 'near_rank' under `probes`"):
        module.data(evidence({(128, 0): {0: 1.0}}, quantity="train_loss"))
