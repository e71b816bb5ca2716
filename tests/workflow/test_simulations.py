"""Simulations through real Snakemake: one target each, and what runs again after a change."""

import json
import re

import h5py
import pytest

pytestmark = pytest.mark.thorough
TEXT = """\
title: Small matrices
base: {simulation: random_matrix, columns: 3}
grid: {rows: [6, 7], distribution: [normal], seed: 0..3}
figures: [smallest_singular_value]
tables: [draws]
published: [matrices]
reduced: {grid: {rows: [6], seed: [0]}}
"""
REFERENCE = """\
source,table,row,cells,quantity,published,spread,runs,unit,note
Nobody,1,6 x 4,"rows=6,columns=4",smallest_singular_value,99.0,,100,1,misprint
Nobody,1,6 x 3,"rows=6,distribution=normal",smallest_singular_value,99.0,,100,1,misprint
"""
FILE = "config/simulations/small.yaml"
EVIDENCE = {
    "Collecting small",
    "Drawing smallest_singular_value of small",
    "Writing table draws of small",
    "Judging small",
    "Summing up small",
}


@pytest.fixture(scope="module")
def simulated(finished_workspace, tmp_path_factory):
    """A workspace in which the small simulation was run. Never to be changed."""
    made = finished_workspace.copy(tmp_path_factory.mktemp("simulated") / "copy")
    (made / "config/simulations").mkdir()
    (made / FILE).write_text(TEXT)
    (made / "config/published/matrices.csv").write_text(REFERENCE)
    status, output = made.run("small")
    assert status == 0, output
    return made


@pytest.fixture
def copy(simulated, tmp_path):
    return simulated.copy(tmp_path / "copy")


def test_a_simulation_ends_with_evidence_and_nothing_is_left_to_do(simulated):
    assert simulated.planned("small") == set()
    folder = simulated / "results/small"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["cells"]["finished"] == 8
    assert metrics["verdicts"] == {"agrees": 0, "disagrees": 1, "not comparable": 1}
    assert "misprint" in (folder / "verdicts.csv").read_text()
    for name in ("figures/smallest_singular_value.pdf", "tables/draws.md", "cells.csv"):
        assert (folder / name).stat().st_size > 0
    with h5py.File(folder / "points/rows=6_distribution=normal.h5") as file:
        assert json.loads(file.attrs["provenance"])["settings"]["point"]["rows"] == 6


def test_another_draw_simulates_its_points_and_another_size_only_itself(copy):
    copy.edit(FILE, "rows: [6, 7]", "rows: [6, 7, 8]")
    assert copy.planned("small") == EVIDENCE | {"Simulating rows=8_distribution=normal of small"}
    copy.edit(FILE, "rows: [6, 7, 8]", "rows: [6, 7]")
    copy.edit(FILE, "seed: 0..3", "seed: 0..4")
    both = {f"Simulating rows={rows}_distribution=normal of small" for rows in (6, 7)}
    assert copy.planned("small") == EVIDENCE | both


def test_a_file_of_a_point_that_is_not_there_is_one_message(simulated):
    status, output = simulated.run("--dry-run", "results/small/points/rows=9_distribution=normal.h5")
    assert status == 1
    assert "results/small/points: unknown point 'rows=9_distribution=normal'" in output
    assert "Traceback" not in output


def test_a_title_or_a_figure_simulates_nothing(copy):
    copy.edit(FILE, "title: Small matrices", "title: Matrices")
    assert copy.planned("small") == EVIDENCE


def test_studies_are_not_touched(copy):
    assert copy.planned() == set()
    assert any(job.startswith("Simulating rows=6") for job in copy.planned("small-reduced"))


def test_a_killed_run_goes_on_with_the_points_that_are_missing(copy):
    cells = copy / "results/small/cells.csv"
    before = cells.read_text()
    for path in (copy / "results/small/points/rows=7_distribution=normal.h5", cells):
        path.unlink()
    status, output = copy.run("results/small/cells.csv")
    assert status == 0, output
    log = max((copy / ".snakemake/log").glob("*.snakemake.log")).read_text()
    assert re.findall(r"^Job \d+: Simulating (\S+)", log, flags=re.MULTILINE) == ["rows=7_distribution=normal"]
    assert cells.read_text() == before


def test_config_lists_what_is_built(copy):
    copy.edit("config/config.yaml", "simulations: []", "simulations: [smal]")
    status, output = copy.run("--dry-run")
    assert status != 0
    assert "config/config.yaml: simulations: unknown simulation 'smal'. Did you mean 'small'?" in output
    copy.edit("config/config.yaml", "simulations: [smal]", "simulations: [small]")
    copy.edit(FILE, "rows: [6, 7]", "rows: [6]")
    assert copy.planned() == EVIDENCE


def test_data_that_a_simulation_draws_from_are_prepared_before(copy):
    text = "title: t\nbase: {simulation: resnet34_gradient}\ngrid: {dataset: [cifar10, normal], seed: [0]}\n"
    (copy / "config/simulations/gradients.yaml").write_text(text)
    jobs = copy.planned("gradients")
    assert {job for job in jobs if job.startswith("Preparing")} == {"Preparing cifar10"}
    assert {f"Simulating dataset={name} of gradients" for name in ("cifar10", "normal")} <= jobs
    alone = copy.planned("results/gradients/points/dataset=normal.h5")
    assert alone == {"Simulating dataset=normal of gradients"}


def test_a_mistake_in_a_simulation_is_one_message(copy):
    copy.edit(FILE, "rows: [6, 7]", "rows: [6, 0]")
    status, output = copy.run("small")
    assert status != 0
    assert "Traceback" not in output
    assert f"{FILE}: base and grid: rows: 0 is not allowed" in output
