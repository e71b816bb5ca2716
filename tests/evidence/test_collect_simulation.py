"""A simulation's measurements have the form of a study's: verdicts, metrics and `gengap.load` read them alike."""

import math

import drawn
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import gengap
from gengap import registry, simulations
from gengap.errors import UserError
from gengap.evidence import measurements
from gengap.evidence.collect_simulation import cells_of, collect_simulation
from gengap.evidence.intervals import grouped, interval, over_seeds
from gengap.evidence.metrics import metrics
from gengap.evidence.published import COLUMNS
from gengap.evidence.verdicts import judge
from gengap.simulations import random_matrix
from gengap.studies.simulation import load_simulation

QUANTITY = "smallest_singular_value"
POINT = "distribution=uniform,rows=40,columns=30"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def found(folder):
    return drawn.collected(folder, drawn.MATRICES)


def test_a_cell_is_one_draw(folder, found):
    assert (found.study["name"], found.study["n_cells"], found.study["reduced"]) == ("drawn", 2 * 2 * 2 * 6, False)
    assert found.axes == ("distribution", "rows", "columns")
    row = found.cells.set_index("cell").loc[f"{POINT},seed=4"]
    assert (row["distribution"], row["rows"], row["columns"], row["seed"]) == ("uniform", 40, 30, 4)
    assert (row["status"], row["pack"]) == ("finished", POINT)
    point = drawn.simulation(folder, drawn.MATRICES).points[POINT]
    expected = torch.linalg.svdvals(torch.from_numpy(random_matrix.matrix(point, 4)))[-1]
    assert row[QUANTITY] == pytest.approx(float(expected), rel=1e-12)
    assert found.history.empty
    assert found.failures.empty
    assert set(found.measurements["probe"]) == {"random_matrix"}


def test_draws_are_the_seeds_of_intervals_and_verdicts(found):
    table = over_seeds(found, [QUANTITY])
    assert set(table["n"]) == {6}
    values = found.cells.loc[found.cells["pack"] == POINT, QUANTITY]
    ours = interval(values)
    row = dict.fromkeys(COLUMNS, "") | {"cells": POINT, "quantity": QUANTITY, "unit": "1", "runs": "100"}
    verdicts = judge(found, [pd.DataFrame([row | {"published": f"{ours.mean:.4f}"}, row | {"published": "9.0000"}])])
    assert list(verdicts["verdict"]) == ["agrees", "disagrees"]
    assert (verdicts["low"][0], verdicts["high"][0]) == pytest.approx(ours.of_next(100), abs=1e-5)
    assert metrics(found, verdicts)["cells"]["finished"] == 48


def test_results_can_be_loaded(folder, found):
    assert len(gengap.load(folder).cells) == len(found.cells) == len(pd.read_csv(folder / "cells.csv"))


def test_the_table_of_draws(found):
    table = registry.load("table", "draws").table(found)
    assert len(table) == 8
    values = found.cells.loc[found.cells["pack"] == POINT, QUANTITY]
    row = table[(table["distribution"] == "uniform") & (table["rows"] == 40) & (table["columns"] == 30)].iloc[0]
    assert (row["draws"], row["not_finite"]) == (6, 0)
    assert row["mean"] == pytest.approx(values.mean())
    assert row["mean_low"] < row["mean"] < row["mean_high"]


def test_a_number_that_is_not_finite_is_a_failure_and_enters_no_mean(tmp_path, monkeypatch):
    values = [1.0, math.inf, 3.0]

    def broken(_point, seeds, *_others):
        return {QUANTITY: torch.tensor([values[seed] for seed in seeds])}

    monkeypatch.setattr(random_matrix, "simulate", broken)
    content = {"title": "t", "base": {"simulation": "random_matrix"}, "grid": {"seed": "0..2"}}
    found = drawn.collected(tmp_path, content)
    assert list(found.failures["why"]) == [f"{QUANTITY} is inf"]
    row = over_seeds(found, [QUANTITY]).iloc[0]
    assert (row["n"], row["mean"], row["left_out"]) == (2, 2.0, "seed=1 (unmeasured)")


def test_draws_that_left_the_grid_are_left_out(tmp_path):
    content = {"title": "t", "base": {"simulation": "random_matrix", "rows": 9, "columns": 2}, "grid": {"seed": "0..3"}}
    content["base"]["spectrum_values"] = 4  # of the seeds 0 and 1
    drawn.collected(tmp_path, content)
    fewer = drawn.simulation(tmp_path, content | {"grid": {"seed": [1, 2]}})
    collect_simulation(fewer, [tmp_path / "points/base.h5"], tmp_path / "measurements.h5", tmp_path / "cells.csv")
    cells = pd.read_csv(tmp_path / "cells.csv")
    assert list(cells["cell"]) == ["seed=1", "seed=2"]
    assert np.isfinite(cells[QUANTITY]).all()
    (array,) = measurements.read(tmp_path / "measurements.h5").arrays("matrix_singular_values")
    assert list(array.rows["cell"]) == ["seed=1"]


def test_a_missing_point_is_named(tmp_path):
    made = drawn.simulation(tmp_path, drawn.MATRICES)
    with pytest.raises(UserError, match=r"missing.h5: does not exist"):
        collect_simulation(made, [tmp_path / "missing.h5"], tmp_path / "measurements.h5", tmp_path / "cells.csv")


def test_chunks_change_no_draw(tmp_path, monkeypatch):
    """Nor the whole spectra, which the first two draws have."""
    made = drawn.simulation(tmp_path, drawn.MATRICES)
    with monkeypatch.context() as patched:
        patched.setattr(random_matrix, "ONE_BY_ONE", False)
        assert simulations.draws_at_once(made.points[POINT]) >= 6
        simulations.simulate_point(POINT, made.points[POINT], tmp_path / "together.h5", device="cpu")
    assert simulations.draws_at_once(made.points[POINT]) == 1
    simulations.simulate_point(POINT, made.points[POINT], tmp_path / "apart.h5", device="cpu")
    values, spectra = [], []
    for name in ("together", "apart"):
        collect_simulation(made, [tmp_path / f"{name}.h5"], tmp_path / "measurements.h5", tmp_path / "cells.csv")
        values.append(pd.read_csv(tmp_path / "cells.csv")[QUANTITY].dropna().tolist())
        spectra += measurements.read(tmp_path / "measurements.h5").arrays("matrix_singular_values")
    assert values[0] == values[1]
    assert len(values[0]) == 6
    together, apart = spectra
    assert np.array_equal(together.values, apart.values)
    assert list(together.rows["cell"]) == list(apart.rows["cell"]) == [f"{POINT},seed=0", f"{POINT},seed=1"]


def test_arrays_are_read_back_as_those_of_probes(found):
    spectra = {array.rows["cell"][0]: array for array in found.arrays("matrix_singular_values")}
    array = spectra[f"{POINT},seed=0"]
    assert (array.dims, array.probe, array.layer) == (("singular_value",), "random_matrix", "")
    assert (array.values.shape, array.values.dtype) == ((2, 30), np.float64)
    smallest = found.cells.set_index("cell").loc[array.rows["cell"], QUANTITY]
    assert array.values[:, -1] == pytest.approx(smallest.to_numpy(), rel=1e-12)


def test_an_array_that_is_not_finite_is_a_failure(tmp_path, monkeypatch):
    """Of three draws, the last has no array."""
    values = torch.tensor([[3.0, 1.0], [math.nan, 1.0]])

    def broken(_point, seeds, *_others):
        return {"matrix_singular_values": values[[seed for seed in seeds if seed < len(values)]]}

    monkeypatch.setattr(random_matrix, "simulate", broken)
    content = {"title": "t", "base": {"simulation": "random_matrix"}, "grid": {"seed": "0..2"}}
    found = drawn.collected(tmp_path, content)
    assert found.failures[["cell", "why"]].to_numpy().tolist() == [
        ["seed=1", "matrix_singular_values are not all finite"]
    ]
    (array,) = found.arrays("matrix_singular_values")
    assert (list(array.rows["cell"]), array.values.tolist()) == (["seed=0"], [[3.0, 1.0]])


def test_a_setting_of_null_is_a_group_like_any_other(tmp_path):
    grid = {"rate": [0.1], "switch_step": [2, None], "seed": "0..2"}
    text = {"title": "t", "base": {"simulation": "convex_regression"}, "grid": grid}
    (tmp_path / "half.yaml").write_text(yaml.safe_dump(text))
    cells = cells_of(load_simulation(tmp_path / "half.yaml"))
    assert cells["switch_step"].tolist() == ["2"] * 3 + ["None"] * 3
    assert [values["switch_step"] for values, _ in grouped(cells, ["rate", "switch_step"])] == ["2", "None"]
    assert [len(part) for _, part in grouped(pd.DataFrame({"a": [1.0, math.nan]}), ["a"])] == [1, 1]
