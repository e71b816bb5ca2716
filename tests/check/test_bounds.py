"""What is too large for this machine, or for anybody, is refused with its number before anything is made."""

import pytest

from gengap.errors import UserError
from gengap.studies.axes import check_count, read_grids
from gengap.studies.machine import memory_bytes, spell
from gengap.studies.schema import MOST_VALUES
from gengap.studies.simulation import load_simulation
from gengap.studies.study import load_study


@pytest.fixture
def message(tmp_path):
    def refuse(text, load=load_study):
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(UserError) as caught:
            load(tmp_path / "s.yaml")
        return str(caught.value)

    return refuse


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("{seed: 0..99999, model.width: [1, 2, 3]}", "300,000 cells (100,000 of seed x 3 of model.width), and at most"),
        ("{seed: 0..9999, training.epochs: 1..9999, model.width: 1..9999}", "999,800,010,000 cells"),
        ("{seed: 0..999999999}", "grid.seed: 0..999999999 is not allowed: it holds 1,000,000,000 values"),
        ("[{seed: 0..59999}, {seed: 60000..119999}]", "120,000 cells"),
        ("{seed: 0..999999999999999999}", "a range at most 100,000"),
        ("{arm: {a: {}, b: {model.width: 9}}, seed: 0..59999}", "120,000 cells (2 of arm x 60,000 of seed)"),
    ],
)
def test_a_grid_by_mistake_is_refused_before_it_is_expanded(message, grid, words):
    assert words in message(f"title: t\ngrid: {grid}\n")


def test_as_many_cells_as_are_allowed_are(tmp_path):
    check_count([{"seed": MOST_VALUES}], "cells", tmp_path)
    with pytest.raises(UserError, match="100,001 cells"):
        check_count([{"seed": MOST_VALUES}, {"seed": 1}], "cells", tmp_path)
    assert len(read_grids({"seed": f"0..{MOST_VALUES - 1}"}, tmp_path)[0]["seed"]) == MOST_VALUES


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ("{rows: 1..9999, seed: 0..99}", "999,900 draws"),
        ("{rows: 1..20000}", "20,000 points, each of them a job"),
        ("{seed: 0..100000}", "it holds 100,001 values"),
    ],
)
def test_so_it_is_with_simulations(message, grid, words):
    base = "{simulation: random_matrix, distribution: normal, columns: 3}"
    assert words in message(f"title: t\nbase: {base}\ngrid: {grid}\n", load_simulation)


def test_more_jobs_than_can_be_planned_are_refused_with_their_number(edited, refused):
    said = refused(edited(("seed: 0..1", "seed: 0..5000"), ("title", "pack_size: 1\ntitle")))
    assert "has 10,002 jobs, to train 5,001 packs and to measure 1 probe on each, and at most 10,000" in said
    assert "Raise pack_size, now 1" in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "mlp, width: 4",
            "mlp, width: 1000000",
            "training one 'mlp' of 1,000,028,000,010 weights takes at least 16.0 TB",
        ),
        ("mlp, width: 4", "mlp, width: 1000000000", "EB"),
        (
            "{name: digits, image_size: 4}\n  labels: {",
            "{name: gaussian, n_train: 1000000000, image_size: 64}\n  labels: {name: distinct_teacher, ",
            "the images of 'gaussian' take 49.2 TB",
        ),
    ],
)
def test_more_memory_than_there_is_is_refused(edited, loaded, old, new, words):
    project = loaded(edited((old, new)))
    with pytest.raises(UserError) as caught:
        project.check_machine(["study"])
    assert words in str(caught.value)
    assert f"this machine has {spell(memory_bytes())} of memory" in str(caught.value)
    assert "study.yaml: cell lr=0.1,seed=0: " in str(caught.value)


def test_jobs_of_other_machines_have_other_memory(edited, loaded):
    project = loaded(edited(("mlp, width: 4", "mlp, width: 40000"), ("[0, 1]", "[0]"), ("0..1", "[0]")))
    project.check_machine([], here=False)


def test_more_disk_than_is_free_is_refused(edited, loaded):
    changes = [
        ("width: 4", "width: 3000, depth: 5"),
        ("epochs: 2, snapshots: [0, 1]", "epochs: 6999, snapshots: 0..6998"),
    ]
    project = loaded(edited(*changes, ("seed: 0..1", "seed: 0..99")))
    with pytest.raises(UserError, match=r"study\.yaml: at least [\d.]+ TB are to be written, and .* free\. Free some"):
        project.check_machine(["study"])


def test_a_study_that_fits_is_not_refused(loaded):
    assert loaded().check_machine(["study"]) == []
