"""Errors and losses against the batch size: means and ranges by hand, and the printed numbers at their places."""

from dataclasses import replace

import numpy as np
import pandas as pd
import picture_layout
import pytest
import synthetic

from gengap.evidence import figures
from gengap.evidence.figures import error_by_batch_size

GRID = {"dataset": ["fashion_mnist", "mnist"], "training.batch_size": [128, 8192], "seed": [0, 1, 2]}
PRINTED = pd.DataFrame(
    [
        ("Oyedotun et al.", "5", "dataset=fashion_mnist,batch_size=8192", "test_error", "9.5"),
        ("Oyedotun et al.", "5", "dataset=fashion_mnist,batch_size=64", "test_error", "7.7"),
    ],
    columns=["source", "table", "cells", "quantity", "published"],
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made = synthetic.study(folder, GRID)
    dead = "dataset=mnist,batch_size=128,seed=0"
    return replace(synthetic.collected(folder, made, status={dead: "dead"}), published=(PRINTED,))


def test_means_have_the_range_of_their_seeds_and_printed_numbers_their_batch_size(found):
    data = error_by_batch_size.data(found)
    ours = data[data["source"] == ""].set_index(["panel", "x", "quantity"])
    row = ours.loc["Fashion-MNIST", 128, "test_error"]
    cells = found.cells[(found.cells["dataset"] == "fashion_mnist") & (found.cells["batch_size"] == 128)]
    errors = 100 * cells["test_error"]
    assert row["n"] == 3
    assert (row["mean"], row["min"], row["max"]) == pytest.approx((errors.mean(), errors.min(), errors.max()))
    assert ours.loc["MNIST", 128, "test_error"]["n"] == 2
    printed = data[data["source"] != ""]
    assert printed[["panel", "x", "mean"]].values.tolist() == [["Fashion-MNIST", 8192, 9.5]]


@pytest.mark.parametrize("width", [figures.COLUMN, figures.PAGE])
def test_the_source_is_named_and_nothing_overlaps(found, width):
    figure = figures.plot("error_by_batch_size", found, width=width)
    assert not picture_layout.faults(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "test", "printed: Oyedotun et al."]
    assert [axes.get_title() for axes in figure.axes[:2]] == ["", ""]
    assert ["MNIST" in axes.get_title(loc="left") for axes in figure.axes] == [True, True, False, False, False, False]


def test_seeds_that_are_equal_have_no_negative_bars(found):
    """The mean of three numbers 0.001, in percent, is a last digit above all of them."""
    cells = found.cells.assign(test_error=0.001)
    figure = figures.plot("error_by_batch_size", replace(found, cells=cells), width=figures.PAGE)
    assert not picture_layout.faults(figure)


def test_data_sets_whose_numbers_differ_by_far_have_axes_of_their_own(found):
    """On the axis of the larger errors the smaller ones could not be read."""
    ends = []
    for share in (1.0, 0.05):
        small = found.cells["dataset"] == "mnist"
        for quantity in ("train_error", "test_error"):
            found.cells.loc[small, quantity] = share * found.cells.loc[~small, quantity].mean()
        first, second = figures.plot("error_by_batch_size", found, width=figures.PAGE).axes[:2]
        ends.append((first.get_ylim()[1], second.get_ylim()[1]))
        assert first.get_ylim()[0] < 0  # a mark at 0 is not cut
    assert ends[0][0] == ends[0][1]
    assert ends[1][0] > 3 * ends[1][1]


@pytest.mark.parametrize("sizes", [[128, 16384, 24576], [100, 110, 120], [64]])
def test_marks_stay_nearest_to_their_batch_size(sizes):
    groups = 4
    apart = error_by_batch_size._apart(pd.Series(sizes, dtype=float), groups)
    offsets = [
        error_by_batch_size._beside(number, of=groups, apart=apart, test=test)
        for number in range(groups + 1)
        for test in (False, True)
    ]
    assert len(set(offsets)) == len(offsets)
    placed = np.log2(sizes)[:, None] + offsets
    nearest = np.abs(placed[..., None] - np.log2(sizes)).argmin(axis=-1)
    assert (nearest == np.arange(len(sizes))[:, None]).all()
