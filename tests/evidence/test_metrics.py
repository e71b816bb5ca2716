"""A study in a few numbers, against numbers worked out by hand."""

import pandas as pd
import pytest

from gengap.evidence import metrics
from gengap.evidence.measurements import Evidence

VERDICTS = pd.DataFrame(
    [
        ("S", "1", "a", "test_loss", "agrees", 0.5),
        ("S", "1", "a", "test_loss", "disagrees", 0.01),
        ("S", "1", "b", "x", "disagrees", 0.03),
    ],
    columns=["source", "table", "row", "quantity", "verdict", "p"],
)


def evidence(cells, history=()):
    rows = pd.DataFrame(list(history), columns=["cell", "epoch", "quantity", "value"])
    return Evidence({"axes": ["width", "seed"]}, pd.DataFrame(cells), rows, None, None, None)


@pytest.fixture
def trained():
    """Two widths of two seeds; one network diverged, one stopped after one epoch."""
    cells = {
        "cell": ["a", "b", "c", "d"],
        "width": [4, 4, 8, 8],
        "status": ["finished", "finished", "finished", "diverged"],
        "train_accuracy": [0.75, 1.0, 0.5, 0.1],
        "test_accuracy": [0.5, 0.75, 0.25, 0.0],
        "generalization_gap": [0.25, 0.25, 0.25, 0.1],
    }
    history = [("a", 0, "test_accuracy", 0.5), ("b", 0, "test_accuracy", 0.25), ("c", 0, "test_accuracy", 0.125)]
    history += [("a", 1, "test_accuracy", 0.75), ("b", 1, "test_accuracy", 0.25), ("d", 1, "test_accuracy", 0.0)]
    history += [("a", 2, "test_accuracy", 1.0), ("a", 2, "lr", 0.1)]
    return evidence(cells, history)


def test_counts_best_and_mean_over_finished_cells(trained):
    assert metrics.metrics(trained, VERDICTS) == {
        "cells": {"finished": 3, "diverged": 1, "stuck": 0, "dead": 0},
        "fitted": 1,
        "verdicts": {"agrees": 1, "disagrees": 2, "not comparable": 0},
        "published": {"numbers": 2, "agreeing": 1, "disagreeing": 1, "disagreeing_holm": 0},
        "best": {"train_error": 0.0, "test_error": 0.25},
        "mean": {"train_error": 0.25, "test_error": 0.5, "generalization_gap": 0.25},
    }


def test_a_cell_that_stopped_early_keeps_its_last_value_in_the_curve(trained):
    table = metrics.curves(trained)
    assert table.values.tolist() == [
        ["width=4", "test_accuracy", 0, 37.5],
        ["width=4", "test_accuracy", 1, 50.0],
        ["width=4", "test_accuracy", 2, 62.5],
        ["width=8", "test_accuracy", 0, 12.5],
    ]


def test_final_values_by_group(trained):
    table = metrics.final(trained)
    assert table[table["quantity"] == "test_accuracy"].values.tolist() == [
        ["width=4", "test_accuracy", 62.5],
        ["width=8", "test_accuracy", 25.0],
    ]


def test_a_simulation_is_summed_up_by_what_it_measured():
    cells = {"cell": ["a", "b"], "width": [1, 2], "status": "finished", "smallest_singular_value": [1.0, 3.0]}
    found = metrics.metrics(evidence(cells), VERDICTS.iloc[:0])
    assert found["mean"] == {"smallest_singular_value": 2.0}
    assert found["best"] == {}
    assert "fitted" not in found
    assert list(metrics.curves(evidence(cells)).columns) == metrics.CURVES
    assert metrics.final(evidence(cells))["mean"].tolist() == [1.0, 3.0]


def test_no_finished_cell_leaves_the_best_out():
    cells = {"cell": ["a"], "width": [1], "status": ["dead"], "train_accuracy": [0.5], "test_accuracy": [0.5]}
    found = metrics.metrics(evidence(cells), VERDICTS)
    assert found["best"] == found["mean"] == {}
    assert metrics.curves(evidence(cells)).empty
