"""Files of several packs become one, in the grid's order, with the last measured value of every quantity."""

import pandas as pd
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence import collect, measurements
from gengap.files import storage

GRID = {"model.width": [4, 8], "seed": [0, 1]}


@pytest.fixture
def made(tmp_path):
    return synthetic.study(tmp_path, GRID)


def test_one_row_per_cell_with_axes_status_and_pack(tmp_path, made):
    found = synthetic.collected(tmp_path, made, status={"width=8,seed=1": "dead"})
    cells = found.cells
    assert list(cells["cell"]) == list(made.cells)
    assert list(cells.columns[:8]) == [
        *("cell", "width", "seed", "status", "stopped_by"),
        *("epochs_trained", "n_parameters", "pack"),
    ]
    assert list(cells["width"]) == [4, 4, 8, 8]
    assert list(cells["status"]) == ["finished"] * 3 + ["dead"]
    assert list(cells["pack"]) == ["width=4_pack=0"] * 2 + ["width=8_pack=0"] * 2
    assert found.axes == ("width",)
    assert list(found.finished["cell"]) == list(made.cells)[:3]


def test_final_values_are_of_each_cells_own_last_epoch(tmp_path, made):
    stopped = "width=8,seed=0"
    cells = synthetic.collected(tmp_path, made, epochs={stopped: 7}).cells.set_index("cell")
    for name, cell in made.cells.items():
        last = synthetic.curve(cell, cell.seed, 7 if name == stopped else 20)
        assert cells.loc[name, "test_loss"] == last["test_loss"]
        assert cells.loc[name, "train_accuracy"] == last["train_accuracy"]


def test_generalization_gap_is_train_minus_test_accuracy_at_every_epoch(tmp_path, made):
    found = synthetic.collected(
        tmp_path, made, values={"width=4,seed=0": {"train_accuracy": 0.875, "test_accuracy": 0.5}}
    )
    gap = found.measurements[found.measurements["quantity"] == "generalization_gap"]
    assert len(gap) == len(made.cells) * len(synthetic.SNAPSHOTS)
    assert (gap.loc[gap["cell"] == "width=4,seed=0", "value"] == 0.375).all()
    assert set(gap["batchnorm"]) == {"exact"}
    assert found.cells.set_index("cell").loc["width=4,seed=0", "generalization_gap"] == 0.375


def test_layer_quantities_stay_out_of_the_cells(tmp_path, made):
    found = synthetic.collected(tmp_path, made)
    assert "layer_gradient_norm" not in found.cells
    assert "gradient_norm" in found.cells
    assert set(found.measurements["layer"]) == {"", *synthetic.LAYERS, *synthetic.NODE_LAYERS}


def test_cells_csv_holds_the_same_table(tmp_path, made):
    found = synthetic.collected(tmp_path, made)
    written = pd.read_csv(tmp_path / "cells.csv", keep_default_na=False)
    assert (written.pop("interpolation_epoch") == "").all()  # no made-up network fits its images
    assert found.cells.pop("interpolation_epoch").isna().all()
    pd.testing.assert_frame_equal(written, found.cells, check_dtype=False)


def test_the_study_describes_itself(tmp_path, made):
    found = synthetic.collected(tmp_path, made, {"class_balance": {"train": {"-1": 0.5, "1": 0.5}}}).study
    assert found["name"] == "made_up"
    assert found["axes"] == ["width", "seed"]
    assert found["n_cells"] == 4
    assert found["reduced"] is False
    assert found["data"]["class_balance"]["train"] == {"-1": 0.5, "1": 0.5}


def test_a_null_on_an_axis_is_spelled_as_in_the_name(tmp_path):
    made = synthetic.study(tmp_path, {"training.stop_accuracy": [None, 1.0]})
    assert list(synthetic.collected(tmp_path, made).cells["stop_accuracy"]) == ["None", "1.0"]


def test_cells_that_left_the_grid_are_left_out(tmp_path, made):
    histories, probes = synthetic.write(tmp_path, made)
    smaller = synthetic.study(tmp_path, {"model.width": [4, 8], "seed": [1]}, name="smaller")
    collect.collect(smaller, {}, histories, probes, tmp_path / "m.h5", tmp_path / "c.csv")
    found = measurements.read(tmp_path / "m.h5")
    for table in (found.cells, found.history, found.measurements):
        assert set(table["cell"]) == {"width=4,seed=1", "width=8,seed=1"}


def test_without_probes_there_are_no_final_values(tmp_path, made):
    found = synthetic.collected(tmp_path, made, probes=())
    assert found.measurements.empty
    assert "pack" in found.cells
    assert "train_accuracy" not in found.cells


def test_failures_of_probes_are_kept(tmp_path, made):
    histories, _ = synthetic.write(tmp_path, made)
    path = tmp_path / "distance.h5"
    with storage.writing(path, "probe", {}) as file:
        storage.write_table(file, "measurements", pd.DataFrame({name: [] for name in collect.MEASUREMENTS}))
        failed = pd.DataFrame({"cell": ["width=4,seed=0"], "epoch": [3.0], "why": ["not finite"]})
        storage.write_table(file, "failures", failed)
    collect.collect(made, {}, histories, [path], tmp_path / "m.h5", tmp_path / "c.csv")
    assert measurements.read(tmp_path / "m.h5").failures.to_dict("records") == [
        {"cell": "width=4,seed=0", "epoch": 3.0, "why": "not finite", "probe": "distance"}
    ]


def test_a_cell_without_history_is_named(tmp_path, made):
    histories, probes = synthetic.write(tmp_path, made)
    with pytest.raises(UserError, match=r"2 of 4 cells have no history, e\.g\. 'width=8,seed=0'"):
        collect.collect(made, {}, histories[:1], probes, tmp_path / "m.h5", tmp_path / "c.csv")
    assert not (tmp_path / "m.h5").exists()


def test_a_file_of_another_kind_is_refused(tmp_path, made):
    histories, probes = synthetic.write(tmp_path, made)
    with pytest.raises(UserError, match="holds probe, expected history"):
        collect.collect(made, {}, probes, histories, tmp_path / "m.h5", tmp_path / "c.csv")
