"""Reading a simulation's file: its points and draws, and what is wrong with a wrong one."""

import json

import pytest

from gengap.errors import UserError
from gengap.studies.packing import dataset_key
from gengap.studies.simulation import (
    Point,
    Simulation,
    cell_names,
    data_of,
    load_simulation,
    load_simulations,
    point_settings,
    simulation_settings,
)

TEXT = """
title: Test
base: {simulation: random_matrix, columns: 3}
grid:
  distribution: [normal, uniform]
  seed: 0..2
  rows: [5, 6]
figures: [smallest_singular_value]
tables: [draws]
reduced:
  grid: {seed: [7]}
"""


@pytest.fixture
def load(tmp_path):
    def write_and_load(text, *, reduced=False):
        path = tmp_path / "random.yaml"
        path.write_text(text)
        return load_simulation(path, reduced=reduced)

    return write_and_load


def test_every_combination_is_one_point_and_every_seed_one_draw(load):
    found = load(TEXT)
    assert list(found.points) == [
        f"distribution={name},rows={rows}" for name in ("normal", "uniform") for rows in (5, 6)
    ]
    point = found.points["distribution=uniform,rows=6"]
    assert point == Point(simulation="random_matrix", distribution="uniform", rows=6, columns=3, seeds=(0, 1, 2))
    assert cell_names("distribution=uniform,rows=6", point)[1] == "distribution=uniform,rows=6,seed=1"
    assert (found.axes, found.simulated, found.n_draws) == (("distribution", "rows", "seed"), "random_matrix", 12)


def test_reduced_settings_replace_axes(load):
    found = load(TEXT, reduced=True)
    assert (found.name, found.reduced, found.n_draws) == ("random-reduced", True, 4)
    assert {point.seeds for point in found.points.values()} == {(7,)}


def test_grids_of_a_list_are_joined(load):
    text = "title: t\nbase: {simulation: linear_gradient}\ngrid:\n"
    text += "  - {width: [2], seed: [0]}\n  - {width: [2, 3], input_size: [4], seed: 0..1}\n"
    found = load(text)
    assert list(found.points) == ["width=2,input_size=width", "width=2,input_size=4", "width=3,input_size=4"]
    assert found.n_draws == 5


def test_a_grid_of_seeds_alone_is_one_point(load):
    found = load("title: t\nbase: {simulation: random_matrix}\ngrid: {seed: 0..1}\n")
    assert cell_names("base", found.points["base"]) == ["seed=0", "seed=1"]
    assert load("title: t\nbase: {simulation: random_matrix, seed: [4]}\n").points["base"].seeds == (4,)


def test_settings_of_jobs_can_be_read_back_and_print_briefly(load):
    found = load(TEXT)
    for point in found.points.values():
        assert Point.model_validate(json.loads(json.dumps(point_settings(point)))) == point
    again = Simulation.model_validate(json.loads(json.dumps(simulation_settings(found))))
    assert (again.points, again.axes, again.name) == (found.points, found.axes, found.name)
    assert len(repr(simulation_settings(found))) < 100


def test_a_folder_may_be_missing_and_names_are_taken_once(tmp_path):
    assert load_simulations(tmp_path / "none") == {}
    (tmp_path / "random.yaml").write_text(TEXT)
    assert list(load_simulations(tmp_path)) == ["random", "random-reduced"]
    with pytest.raises(UserError, match=r"a study has the name 'random' too"):
        load_simulations(tmp_path, ["random"])


def test_the_shipped_simulations_ask_for_what_was_printed():
    from pathlib import Path

    found = load_simulations(Path(__file__).parents[1] / "config/simulations")
    sizes = {(point.rows, point.columns) for point in found["random_matrix"].points.values()}
    assert len(sizes) == 16
    assert {len(point.seeds) for point in found["random_matrix"].points.values()} == {100}
    assert found["linear_gradient"].n_draws == 20 * 1000
    assert (len(found["resnet34_gradient"].points), found["resnet34_gradient"].n_draws) == (2 * 4, 2 * 4 * 10)


def test_data_of_a_point():
    assert data_of(Point(simulation="resnet34_gradient")) is None
    assert dataset_key(data_of(Point(simulation="resnet34_gradient", dataset="cifar10"))) == "cifar10"


def test_a_dataset_must_exist(load):
    text = "title: t\nbase: {simulation: resnet34_gradient}\ngrid: {dataset: [norml]}\n"
    with pytest.raises(UserError, match=r"dataset: unknown dataset 'norml'. Did you mean 'normal'\?"):
        load(text)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("random_matrix", "random_matrx", "base.simulation: unknown simulation 'random_matrx'. Did you mean"),
        ("simulation: random_matrix, ", "", "base.simulation: is missing. Choose from: convex_regression, "),
        ("columns: 3", "colums: 3", "unknown key 'colums'. Did you mean 'columns'?"),
        ("columns: 3", "width: 3", "width: 'random_matrix' does not use it. It uses: seed, distribution"),
        ("rows: [5, 6]", "seeds: [5, 6]", "unknown key 'seeds'. Did you mean 'seed'?"),
        ("rows: [5, 6]", "rows: [5, 0]", "rows: 0 is not allowed"),
        ("rows: [5, 6]", "rows: [5, 1e3]", "rows: '1e3' is text, not a number"),
        ("rows: [5, 6]", "rows: []", "grid.rows: is empty"),
        ("rows: [5, 6]", "rows: 5", "grid.rows: must be a list of values or a range"),
        ("rows: [5, 6]", "rows: [5, 5]", "a draw of 'distribution=normal,rows=5' appears twice"),
        ("seed: 0..2", "seed: [1, 1]", "appears twice"),
        ("seed: 0..2", "seed: [-1]", "seed: -1 is not allowed"),
        ("[normal, uniform]", "[normal, gaussian]", "distribution: 'gaussian' is not allowed"),
        ("[smallest_singular_value]", "[gradient_norm]", "figures: 'gradient_norm' only plots networks"),
        ("[smallest_singular_value]", "[gradient_ratio_by_width]", "only plots simulation 'linear_gradient'"),
        ("[draws]", "[drawes]", "unknown table 'drawes'"),
        ("tables:", "table:", "table: unknown key. Did you mean 'tables'?"),
        ("title: Test\n", "", "title: is missing"),
    ],
)
def test_a_mistake_names_file_and_key(load, old, new, words):
    assert old in TEXT
    with pytest.raises(UserError) as error:
        load(TEXT.replace(old, new))
    assert "random.yaml: " in str(error.value)
    assert words in str(error.value)


def test_a_study_refuses_the_figures_of_simulations(tmp_path):
    from gengap.studies.study import load_study

    path = tmp_path / "study.yaml"
    path.write_text("title: t\nfigures: [smallest_singular_value]\n")
    with pytest.raises(UserError, match=r"'smallest_singular_value' only plots simulation 'random_matrix'"):
        load_study(path)
