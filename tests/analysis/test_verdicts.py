"""Every rule of a verdict, on measurements whose intervals are known."""

import math

import pandas as pd
import pytest
import synthetic

from gengap.analysis.intervals import interval
from gengap.analysis.references import COLUMNS
from gengap.analysis.verdicts import COLUMNS as JUDGED
from gengap.analysis.verdicts import judge

GRID = {"model.width": [4, 8], "init": ["he"], "seed": [0, 1, 2, 3]}
ACCURACY = [0.88, 0.89, 0.87, 0.90]
PERCENT = interval([88.0, 89.0, 87.0, 90.0])


def reference(**changes):
    row = dict.fromkeys(COLUMNS, "") | {"source": "Song (2019)", "table": "4.1", "row": "Small He"}
    row |= {"cells": "width=4,init=he", "quantity": "train_accuracy", "published": "88.60", "unit": "%"}
    return pd.DataFrame([row | changes])


def evidence(folder, *, grid=GRID, reduced=False, status=None, accuracy=ACCURACY):
    made = synthetic.study(folder, grid, reduced=reduced)
    values = {name: {"train_accuracy": accuracy[cell.seed], "train_loss": 0.0} for name, cell in made.cells.items()}
    return synthetic.collected(folder, made, status=status, values=values)


def verdict(found, **changes):
    table = judge(found, [reference(**changes)])
    assert list(table.columns) == JUDGED
    return table.iloc[0]


def test_a_single_run_inside_the_prediction_interval_agrees(tmp_path):
    row = verdict(evidence(tmp_path))
    assert (row["study"], row["settings"], row["n_seeds"], row["published"]) == ("made_up", "full", 4, "88.60")
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(
        (88.5, PERCENT.next_low, PERCENT.next_high), abs=1e-4
    )
    assert row["verdict"] == "agrees"
    assert row["why"] == (
        f"single published run 88.60 inside the 95 % prediction interval "
        f"[{PERCENT.next_low:.2f}, {PERCENT.next_high:.2f}] of 4 seeds"
    )


def test_a_single_run_outside_disagrees_up_to_rounding(tmp_path):
    found = evidence(tmp_path)
    assert verdict(found, published="97.39")["verdict"] == "disagrees"
    assert "outside" in verdict(found, published="97.39")["why"]
    just_outside = PERCENT.next_high + 0.2
    assert verdict(found, published=f"{just_outside:.0f}")["verdict"] == "agrees"  # printed to a whole percent
    assert verdict(found, published=f"{just_outside:.2f}")["verdict"] == "disagrees"
    assert verdict(found, published=f"{just_outside:.2f}", tolerance="0.3")["verdict"] == "agrees"


def test_equal_runs_agree_with_the_same_printed_number(tmp_path):
    found = evidence(tmp_path, accuracy=[1.0] * 4)
    assert verdict(found, published="100.00")["verdict"] == "agrees"
    assert verdict(found, published="0.0000", quantity="train_loss", unit="1")["verdict"] == "agrees"
    assert verdict(found, published="0.0030", quantity="train_loss", unit="1")["verdict"] == "disagrees"


def test_a_printed_spread_is_compared_with_the_interval_of_the_mean(tmp_path):
    found = evidence(tmp_path)
    gap = PERCENT.mean_high + 1.0
    near = verdict(found, published=f"{gap:.2f}", spread="1.1")
    far = verdict(found, published=f"{gap:.2f}", spread="0.5")
    assert (near["verdict"], far["verdict"]) == ("agrees", "disagrees")
    assert (near["low"], near["high"]) == pytest.approx((PERCENT.mean_low, PERCENT.mean_high), abs=1e-4)
    assert "does not overlap the 95 % confidence interval" in far["why"]


def test_a_printed_mean_of_several_runs_is_compared_with_the_interval_for_so_many(tmp_path):
    found = evidence(tmp_path)
    low, high = PERCENT.of_next(100)
    row = verdict(found, published=f"{high - 0.01:.2f}", runs="100", note="printed twice")
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=1e-4)
    assert (row["verdict"], row["note"]) == ("agrees", "printed twice")
    assert row["why"] == (
        f"published mean {high - 0.01:.2f} of 100 runs inside the 95 % prediction interval [{low:.2f}, {high:.2f}] "
        "for the mean of 100 more, from 4 seeds"
    )
    outside = f"{high + 0.02:.2f}"
    assert verdict(found, published=outside, runs="100")["verdict"] == "disagrees"
    assert verdict(found, published=outside)["verdict"] == "agrees"  # as a single run


def test_fewer_than_three_finished_seeds_are_not_comparable(tmp_path):
    dead = {"width=4,init=he,seed=2": "dead", "width=4,init=he,seed=3": "diverged"}
    row = verdict(evidence(tmp_path, status=dead))
    assert (row["verdict"], row["n_seeds"], row["mean"]) == ("not comparable", 2, 88.5)
    assert row["why"].startswith("2 finished seeds where at least 3 are needed; left out:")


def test_dead_and_diverged_seeds_are_named_and_not_averaged(tmp_path):
    row = verdict(evidence(tmp_path, status={"width=4,init=he,seed=3": "dead"}))
    assert (row["n_seeds"], row["mean"]) == (3, 88.0)
    assert row["verdict"] == "agrees"
    assert row["why"].endswith("of 3 seeds; left out: width=4,init=he,seed=3 (dead)")


def test_reduced_settings_are_never_comparable(tmp_path):
    row = verdict(evidence(tmp_path, reduced=True))
    assert (row["study"], row["settings"], row["verdict"]) == ("made_up-reduced", "reduced", "not comparable")
    assert row["why"].startswith("reduced settings; single published run 88.60 inside the 95 % prediction interval [")
    assert row["n_seeds"] == 4


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cells": "width=4,init=balanced"}, "this study has no cell with width=4,init=balanced"),
        ({"cells": "width=4,lr=0.1"}, "'lr' of width=4,lr=0.1 is no axis of this study's grid"),
        ({"cells": "init=he"}, "the cells with init=he differ in width (4, 8)"),
        ({"quantity": "weight_norm", "unit": "1"}, "weight_norm was not measured in this study"),
    ],
)
def test_what_the_study_lacks_is_not_comparable(tmp_path, changes, why):
    row = verdict(evidence(tmp_path), **changes)
    assert (row["verdict"], row["why"], row["n_seeds"]) == ("not comparable", why, 0)
    assert math.isnan(row["mean"])


def test_values_match_as_numbers(tmp_path):
    grid = {"optimizer.lr": [0.1, 0.01], "seed": [0, 1, 2]}
    assert verdict(evidence(tmp_path, grid=grid), cells="lr=0.10")["n_seeds"] == 3


def test_no_published_numbers_give_an_empty_table(tmp_path):
    table = judge(evidence(tmp_path), [])
    assert table.empty
    assert list(table.columns) == JUDGED
