"""The table of alternatives: printed numbers first, then the alternatives by a distance computed here by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence import tables
from gengap.evidence.measurements import read
from gengap.evidence.tables import closest

GRID = {"model.width": [4], "optimizer.lr": [0.1, 0.03, 0.01], "seed": [0, 1, 2]}
ACCURACY = {0.1: [0.815, 0.82, 0.825], 0.03: [0.86, 0.90, 0.88], 0.01: [0.88, 0.88, 0.88]}
LOSS = {0.1: [0.5, 0.6, 0.4], 0.03: [0.38, 0.42, 0.40], 0.01: [0.9, 0.9, 0.9]}
PRINTED = (("train_accuracy", "88.60", "%"), ("train_loss", "0.3710", "1"))


def published(folder, *, cells="width=4", row="Small He"):
    path = folder / "printed.csv"
    lines = [f'Song,4.1,{row},"{cells}",{name},{number},,{unit},' for name, number, unit in PRINTED]
    path.write_text("\n".join(["source,table,row,cells,quantity,published,spread,unit,note", *lines]) + "\n")
    return path


def found(folder, *, status=None, reduced=False, **options):
    made = synthetic.study(folder, GRID, reduced=reduced)
    values = {
        name: {
            "train_accuracy": ACCURACY[cell.optimizer.lr][cell.seed],
            "train_loss": LOSS[cell.optimizer.lr][cell.seed],
        }
        for name, cell in made.cells.items()
    }
    synthetic.collected(folder, made, values=values, status=status)
    return read(folder / "measurements.h5", [published(folder, **options)])


def test_alternatives_are_ordered_by_their_distance_from_all_numbers_together(tmp_path):
    table = closest.table(found(tmp_path))
    assert list(table["alternative"]) == ["(printed)", "lr=0.03", "lr=0.1", "lr=0.01"]
    assert list(table["seeds"]) == [1, 3, 3, 3]
    # Deviations between seeds of the accuracy are 0.5, 2 and 0 %, of the loss 0.1, 0.02 and 0.
    yards = {"accuracy": math.hypot(0.5, 0.005), "loss": math.hypot(0.02, 0.00005)}
    expected = [
        math.sqrt((((mean - 88.6) / yards["accuracy"]) ** 2 + ((loss - 0.371) / yards["loss"]) ** 2) / 2)
        for mean, loss in ((88.0, 0.4), (82.0, 0.5), (88.0, 0.9))
    ]
    assert table["distance"].tolist() == pytest.approx([math.nan, *expected], abs=0.006, nan_ok=True)
    assert table["train_loss"].tolist() == pytest.approx([0.371, 0.4, 0.5, 0.9])
    assert list(table["inside"]) == ["", "2 of 2", "1 of 2", "0 of 2"]


def test_reduced_settings_are_ordered_as_well(tmp_path):
    assert list(closest.table(found(tmp_path, reduced=True))["inside"]) == ["", "2 of 2", "1 of 2", "0 of 2"]


def test_what_died_comes_last_and_a_single_seed_has_no_interval(tmp_path):
    dead = [f"width=4,lr=0.03,seed={seed}" for seed in (0, 1, 2)] + [f"width=4,lr=0.1,seed={seed}" for seed in (1, 2)]
    table = closest.table(found(tmp_path, status=dict.fromkeys(dead, "dead")))
    assert list(table["alternative"]) == ["(printed)", "lr=0.1", "lr=0.01", "lr=0.03"]
    assert list(table["seeds"]) == [1, 1, 3, 0]
    assert list(table["inside"]) == ["", "", "0 of 2", ""]
    assert np.isnan(table["distance"].iloc[-1])
    shown = tables.readable(table)
    assert list(shown["distance"])[-1] == "-"
    assert list(shown["train loss"]) == ["0.3710", "0.5000", "0.9000 [0.9000, 0.9000]", "-"]


def test_rows_that_the_study_has_no_cells_of_are_left_out(tmp_path):
    with pytest.raises(UserError, match="the published numbers select none of its cells"):
        closest.table(found(tmp_path, cells="width=64"))
    one = found(tmp_path)
    both = pd.concat([one.published[0], read(one.path, [published(tmp_path, cells="width=64", row="b")]).published[0]])
    object.__setattr__(one, "published", (both,))
    assert set(closest.table(one)["row"]) == {"Small He"}


def test_no_published_numbers_is_an_error_that_names_the_key(tmp_path):
    with pytest.raises(UserError, match="Name a file of them under `published`"):
        closest.table(synthetic.collected(tmp_path, synthetic.study(tmp_path, GRID)))
