"""Values that follow from others, on tables small enough to add up by hand."""

import dataclasses
import math

import pandas as pd
import pytest
import synthetic

from gengap.evidence.derived import with_derived
from gengap.evidence.published import read_published
from gengap.evidence.tables import errors_and_losses
from gengap.evidence.verdicts import judge

HISTORY = [("a", 0.0, "l2_penalty", 0.5), ("a", 2.0, "l2_penalty", 0.25), ("b", 2.0, "l2_penalty", 0.125)]
HISTORY += [("a", 2.0, "train_loss", 9.0)]
MEASURED = [("a", 0.0, ""), ("a", 2.0, ""), ("a", 3.0, "output"), ("b", 1.0, "")]


def tables():
    cells = pd.DataFrame(
        {"cell": ["a", "b"], "train_accuracy": [0.875, 1.0], "train_loss": [0.1, 0.2], "test_loss": [0.3, 0.4]}
    )
    history = pd.DataFrame(HISTORY, columns=["cell", "epoch", "quantity", "value"])
    return cells, history, pd.DataFrame(MEASURED, columns=["cell", "epoch", "layer"])


def test_errors_are_one_minus_accuracies_where_those_are_known():
    found = with_derived(*tables())
    assert list(found["train_error"]) == [0.125, 0.0]
    assert "test_error" not in found


def test_objectives_take_the_penalty_of_their_own_epoch():
    """b was measured last at epoch 1, and its penalty recorded at epoch 2: other weights, so no sum."""
    a, b = with_derived(*tables()).to_dict("records")
    assert (a["l2_penalty"], a["train_objective"], a["test_objective"]) == (0.25, 0.1 + 0.25, 0.3 + 0.25)
    assert all(math.isnan(b[name]) for name in ("l2_penalty", "train_objective", "test_objective"))


def test_without_a_recorded_penalty_there_is_no_objective():
    cells, history, measured = tables()
    found = with_derived(cells, history[history["quantity"] != "l2_penalty"], measured)
    assert not {"l2_penalty", "train_objective"} & set(found)


@pytest.fixture
def found(tmp_path):
    """Five seeds with losses 0.10, 0.12, ..., 0.18 and a penalty of 0.2 for each."""
    made = synthetic.study(tmp_path, {"model.width": [4], "seed": [0, 1, 2, 3, 4]})
    values = {name: {"train_loss": 0.1 + 0.02 * cell.seed, "train_accuracy": 0.9} for name, cell in made.cells.items()}
    found = synthetic.collected(tmp_path, made, values=values)
    rows = pd.DataFrame({"cell": found.cells["cell"], "epoch": 20.0, "quantity": "l2_penalty", "value": 0.2})
    cells = with_derived(found.cells, rows, found.measurements)
    return dataclasses.replace(found, cells=cells)


def test_the_table_shows_loss_penalty_and_sum(found):
    (row,) = errors_and_losses.table(found).to_dict("records")
    assert row["train_error"] == pytest.approx(10.0)
    assert (row["train_loss"], row["l2_penalty"], row["train_objective"]) == pytest.approx((0.14, 0.2, 0.34))
    assert row["train_objective_high"] - row["train_objective"] == pytest.approx(row["train_loss_high"] - 0.14)


def test_both_readings_of_a_printed_loss_are_judged(tmp_path, found):
    path = tmp_path / "printed.csv"
    path.write_text(
        "source,table,row,cells,quantity,published,spread,unit\n"
        "S,1,r; loss alone,width=4,train_loss,0.3300,,1\n"
        "S,1,r; loss and L2 penalty,width=4,train_objective,0.3300,,1\n"
        "S,1,r,width=4,train_error,10.00,,%\n"
    )
    assert list(judge(found, [read_published(path)])["verdict"]) == ["disagrees", "agrees", "agrees"]


def test_the_epoch_of_interpolation_is_the_first_without_an_error():
    """b never classifies all training samples rightly."""
    cells, _, measured = tables()
    rows = [("a", 0.0, 0.1), ("a", 1.0, 1.0), ("a", 2.0, 0.99), ("a", 3.0, 1.0), ("b", 3.0, 0.9999)]
    history = pd.DataFrame([(cell, epoch, "train_accuracy", value) for cell, epoch, value in rows])
    history.columns = ["cell", "epoch", "quantity", "value"]
    a, b = with_derived(cells, history, measured)["interpolation_epoch"]
    assert a == 1.0
    assert math.isnan(b)
