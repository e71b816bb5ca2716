"""Costs of training and values at equal cost, against numbers written by hand."""

import dataclasses
import math

import pandas as pd
import pytest
import synthetic

from gengap.errors import UserError
from gengap.evidence.costs import common_cost, held, with_costs
from gengap.evidence.figures import training_cost
from gengap.evidence.tables import equal_cost

GRID = {"optimizer.lr": [0.1, 0.3], "seed": [0, 1]}


@pytest.fixture
def found(tmp_path):
    """Cells with lr 0.3 measured a Hessian: seed 0 cost 8 more from the start, seed 1 12 more from epoch 10 on."""
    made = synthetic.collected(tmp_path, synthetic.study(tmp_path, GRID), epochs={"lr=0.3,seed=1": 18})
    extra = {"lr=0.3,seed=0": lambda epoch: 8, "lr=0.3,seed=1": lambda epoch: 12 * (epoch >= 10)}
    rows = [
        (cell, float(epoch), quantity, value, "running")
        for cell, more in extra.items()
        for epoch in range(21 if cell.endswith("0") else 19)
        for quantity, value in (("gradient_evaluations", epoch + more(epoch)), ("hessian_largest", 30.0))
    ]
    columns = ["cell", "epoch", "quantity", "value", "batchnorm"]
    history = pd.concat([made.history, pd.DataFrame(rows, columns=columns)], ignore_index=True)
    return dataclasses.replace(made, history=history)


def value(evidence, cell, quantity, epoch):
    rows = evidence.history
    return rows[(rows["cell"] == cell) & (rows["quantity"] == quantity) & (rows["epoch"] == epoch)]["value"].iloc[0]


def test_costs_are_those_recorded_and_epochs_elsewhere(found):
    history = with_costs(found)
    loss = history[history["quantity"] == "train_loss"].set_index(["cell", "epoch"])["cost"]
    assert (loss["lr=0.1,seed=0", 7], loss["lr=0.3,seed=0", 7]) == (7, 15)
    assert (loss["lr=0.3,seed=1", 9], loss["lr=0.3,seed=1", 10]) == (9, 22)
    assert common_cost(found) == 20


def test_a_value_is_that_of_the_last_evaluation_not_beyond_the_cost(found):
    rows = held(with_costs(found), [0.0, 7.5, 20.0])
    losses = rows[rows["quantity"] == "train_loss"].set_index(["cell", "cost"])["value"]
    assert losses["lr=0.1,seed=0", 7.5] == value(found, "lr=0.1,seed=0", "train_loss", 7)
    assert ("lr=0.3,seed=0", 7.5) not in losses  # its first evaluation came after L was measured, at cost 8
    assert losses["lr=0.3,seed=0", 20.0] == value(found, "lr=0.3,seed=0", "train_loss", 12)
    assert losses["lr=0.3,seed=1", 20.0] == value(found, "lr=0.3,seed=1", "train_loss", 9)


def test_the_table_compares_at_the_common_cost(found):
    table = equal_cost.table(found).set_index("lr")
    assert list(table["gradient_evaluations"]) == ["20", "20"]
    expected = [value(found, "lr=0.3,seed=0", "test_accuracy", 12), value(found, "lr=0.3,seed=1", "test_accuracy", 9)]
    assert table.loc[0.3, "test_accuracy"] == pytest.approx(50 * sum(expected))
    assert table.loc[0.3, "test_accuracy_low"] < table.loc[0.3, "test_accuracy"] < table.loc[0.3, "test_accuracy_high"]


def test_the_figure_ends_at_the_common_cost(found):
    data = training_cost.data(found)
    assert data["cost"].max() == 20
    ends = data[(data["quantity"] == "train_loss") & (data["cost"] == 20)].set_index("group")
    expected = [value(found, "lr=0.3,seed=0", "train_loss", 12), value(found, "lr=0.3,seed=1", "train_loss", 9)]
    assert ends.loc["learning rate 0.3", ["mean", "min", "max"]].tolist() == pytest.approx(
        [sum(expected) / 2, min(expected), max(expected)]
    )


def test_an_unknown_cost_is_an_error(found):
    history = found.history[found.history["quantity"] != "gradient_evaluations"]
    with pytest.raises(UserError, match=r"'lr=0\.3,seed=0' was trained before products of the Hessian were"):
        with_costs(dataclasses.replace(found, history=history))


def test_without_a_finished_network_there_is_nothing_to_compare(tmp_path):
    made = synthetic.study(tmp_path, {"seed": [0]})
    nothing = synthetic.collected(tmp_path, made, status={"seed=0": "diverged"})
    (row,) = equal_cost.table(nothing).to_dict("records")
    assert (common_cost(nothing), row["gradient_evaluations"], row["diverged"]) == (0, "0", 1)
    assert math.isnan(row["test_accuracy"])
    assert training_cost.data(nothing).empty
