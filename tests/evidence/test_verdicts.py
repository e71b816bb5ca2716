"""Every rule of a verdict, on measurements whose intervals are known."""

import math

import pandas as pd
import pytest
import synthetic
from scipy import stats

from gengap.evidence.intervals import interval
from gengap.evidence.metrics import metrics
from gengap.evidence.published import COLUMNS
from gengap.evidence.verdicts import COLUMNS as JUDGED
from gengap.evidence.verdicts import judge

GRID = {"model.width": [4, 8], "init": ["he"], "seed": [0, 1, 2, 3, 4]}
ACCURACY = [0.88, 0.89, 0.87, 0.90, 0.885]
OURS = interval(ACCURACY, share=True)
NEXT_LOW, NEXT_HIGH = (100 * end for end in OURS.of_next())


def printed(**changes):
    row = dict.fromkeys(COLUMNS, "") | {"source": "Song (2019)", "table": "4.1", "row": "Small He"}
    row |= {"cells": "width=4,init=he", "quantity": "train_accuracy", "published": "88.60", "unit": "%"}
    return pd.DataFrame([row | changes])


def evidence(folder, *, grid=GRID, reduced=False, status=None, accuracy=ACCURACY):
    made = synthetic.study(folder, grid, reduced=reduced)
    values = {name: {"train_accuracy": accuracy[cell.seed], "train_loss": 0.01} for name, cell in made.cells.items()}
    return synthetic.collected(folder, made, status=status, values=values, probes=("performance",), snapshots=())


def verdict(found, **changes):
    table = judge(found, [printed(**changes)])
    assert list(table.columns) == JUDGED
    return table.iloc[0]


def test_a_single_run_inside_the_prediction_interval_agrees(tmp_path):
    row = verdict(evidence(tmp_path))
    assert (row["study"], row["settings"], row["n_seeds"], row["published"]) == ("made_up", "full", 5, "88.60")
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((88.5, NEXT_LOW, NEXT_HIGH), abs=1e-4)
    assert row["width"] == pytest.approx(NEXT_HIGH - NEXT_LOW, abs=1e-4)
    assert row["verdict"] == "agrees"
    assert row["why"] == (
        f"single published run 88.60 inside the 95 % prediction interval [{NEXT_LOW:.2f}, {NEXT_HIGH:.2f}] of 5 seeds"
    )


def test_a_single_run_outside_disagrees_up_to_rounding(tmp_path):
    found = evidence(tmp_path)
    assert verdict(found, published="97.39")["verdict"] == "disagrees"
    assert "outside" in verdict(found, published="97.39")["why"]
    just_outside = NEXT_HIGH + 0.2
    assert verdict(found, published=f"{just_outside:.0f}")["verdict"] == "agrees"  # printed to a whole percent
    assert verdict(found, published=f"{just_outside:.2f}")["verdict"] == "disagrees"
    assert verdict(found, published=f"{just_outside:.2f}", tolerance="0.3")["verdict"] == "agrees"


def test_equal_runs_agree_with_the_same_printed_number(tmp_path):
    found = evidence(tmp_path, accuracy=[1.0] * 5)
    assert verdict(found, published="100.00")["verdict"] == "agrees"
    assert verdict(found, published="0.0100", quantity="train_loss", unit="1")["verdict"] == "agrees"
    assert verdict(found, published="0.0130", quantity="train_loss", unit="1")["verdict"] == "disagrees"


def test_a_printed_spread_is_compared_with_the_interval_of_the_mean(tmp_path):
    found = evidence(tmp_path)
    low, high = (100 * end for end in OURS.of_mean)
    gap = high + 1.0
    near = verdict(found, published=f"{gap:.2f}", spread="1.1")
    far = verdict(found, published=f"{gap:.2f}", spread="0.5")
    assert (near["verdict"], far["verdict"]) == ("agrees", "disagrees")
    assert (near["low"], near["high"]) == pytest.approx((low, high), abs=1e-4)
    assert "does not overlap the 95 % confidence interval" in far["why"]


def test_a_printed_mean_of_several_runs_is_compared_with_the_interval_for_so_many(tmp_path):
    found = evidence(tmp_path)
    low, high = (100 * end for end in OURS.of_next(100))
    row = verdict(found, published=f"{high - 0.01:.2f}", runs="100", note="printed twice")
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=1e-4)
    assert (row["verdict"], row["note"]) == ("agrees", "printed twice")
    assert row["why"] == (
        f"published mean {high - 0.01:.2f} of 100 runs inside the 95 % prediction interval [{low:.2f}, {high:.2f}] "
        "for the mean of 100 more, from 5 seeds"
    )
    outside = f"{high + 0.02:.2f}"
    assert verdict(found, published=outside, runs="100")["verdict"] == "disagrees"
    assert verdict(found, published=outside)["verdict"] == "agrees"  # as a single run


def test_fewer_than_three_finished_seeds_are_not_comparable(tmp_path):
    dead = {f"width=4,init=he,seed={seed}": status for seed, status in ((2, "dead"), (3, "diverged"), (4, "stuck"))}
    row = verdict(evidence(tmp_path, status=dead))
    assert (row["verdict"], row["n_seeds"], row["mean"]) == ("not comparable", 2, 88.5)
    assert row["why"].startswith("2 finished seeds where at least 3 are needed; left out:")


def test_few_seeds_agree_only_where_their_interval_is_narrow(tmp_path):
    grid = {"init": ["he"], "seed": [0, 1, 2]}
    wide = evidence(tmp_path, grid=grid, accuracy=[0.60, 0.99, 0.90])
    row = verdict(wide, published="92.63")
    assert (row["verdict"], row["n_seeds"]) == ("not comparable", 3)
    assert row["why"].endswith("which is wider than 5 percentage points: 5 seeds are needed")
    assert 0 <= row["low"] <= row["high"] <= 100
    narrow = evidence(tmp_path, grid=grid, accuracy=[0.881, 0.882, 0.883])
    assert verdict(narrow, published="88.2")["verdict"] == "agrees"
    assert verdict(narrow, published="92.63")["verdict"] == "disagrees"


def test_the_probability_is_that_of_students_t_on_the_logit_scale(tmp_path):
    logits = [math.log(p / (1 - p)) for p in (5e-5 + (1 - 1e-4) * value for value in ACCURACY)]
    own = 5e-5 + (1 - 1e-4) * 0.92
    p = stats.ttest_ind([math.log(own / (1 - own))], logits).pvalue  # one further run: the prediction interval's test
    assert verdict(evidence(tmp_path), published="92", tolerance="1e-9")["p"] == pytest.approx(p, rel=1e-2)


def test_dead_and_diverged_seeds_are_named_and_not_averaged(tmp_path):
    row = verdict(evidence(tmp_path, status={"width=4,init=he,seed=3": "dead"}), published="97.39")
    assert (row["n_seeds"], row["mean"]) == (4, 88.125)
    assert row["verdict"] == "disagrees"
    assert row["why"].endswith("of 4 seeds; left out: width=4,init=he,seed=3 (dead)")


def test_reduced_settings_are_never_comparable(tmp_path):
    row = verdict(evidence(tmp_path, reduced=True))
    assert (row["study"], row["settings"], row["verdict"]) == ("made_up-reduced", "reduced", "not comparable")
    assert row["why"].startswith("reduced settings; single published run 88.60 inside the 95 % prediction interval [")
    assert row["n_seeds"] == 5


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cells": "width=4,init=balanced"}, "no network here has width=4,init=balanced"),
        ({"cells": "lr=0.3"}, "no network here has lr=0.3"),
        ({"cells": "width=5,init=he,lr=0.3"}, "no network here has width=5,init=he,lr=0.3"),
        ({"cells": "init=he:*,width=5,seed=0"}, "no network here has init=he:*,width=5,seed=0"),
        ({"cells": "width=4,seed=9,init=he,lr=0.3"}, "no network here has width=4,seed=9,init=he,lr=0.3"),
        (
            {"cells": "width=4,depth=2"},  # the model reads none
            "'depth' of width=4,depth=2 is neither an axis of this study's grid nor a setting of all its cells",
        ),
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


def test_an_open_axis_gives_one_verdict_per_value(tmp_path):
    found = evidence(tmp_path, grid={"model.width": [4, 8], "optimizer.lr": [0.1, 0.01], "seed": [0, 1, 2, 3, 4]})
    table = judge(found, [printed(cells="width=4"), printed(published="97.39", cells="lr=0.1", row="Other")])
    assert list(table["alternative"]) == ["lr=0.1", "lr=0.01", "width=4", "width=8"]
    assert list(table["verdict"]) == ["agrees"] * 2 + ["disagrees"] * 2
    assert set(table["n_seeds"]) == {5}
    assert all(why.endswith("of 5 seeds; one of 2 alternatives") for why in table["why"])
    assert metrics(found, table)["verdicts"] == {"agrees": 2, "disagrees": 2, "not comparable": 0}
    assert metrics(found, table)["published"] == {"numbers": 2, "agreeing": 1, "disagreeing": 1, "disagreeing_holm": 1}


def test_alternatives_are_the_combinations_that_the_grid_has(tmp_path):
    grid = [{"loss.power": [2.0], "optimizer.lr": [0.1], "seed": [0]}, {"loss.power": [3.0], "optimizer.lr": [0.01]}]
    made = synthetic.study(tmp_path, [{**one, "init": ["he", "xavier"]} for one in grid])
    table = judge(
        synthetic.collected(tmp_path, made, probes=("performance",), snapshots=()), [printed(cells="init=he")]
    )
    assert list(table["alternative"]) == ["power=2.0,lr=0.1", "power=3.0,lr=0.01"]
    assert list(table["why"]) == ["1 finished seed where at least 3 are needed; one of 2 alternatives"] * 2


def test_a_pattern_selects_and_opens_its_axis(tmp_path):
    found = evidence(tmp_path, grid={"model.width": [4], "init": ["he", "xavier", "default"], "seed": [0, 1, 2]})
    table = judge(found, [printed(cells="init=*e*")])
    assert list(table["alternative"]) == ["init=he", "init=xavier", "init=default"]
    alone = verdict(found, cells="init=x*,width=4")
    assert alone["alternative"] == "init=xavier"
    assert "alternatives" not in alone["why"]
    assert verdict(found, cells="init=balanced:*")["why"] == "no network here has init=balanced:*"


def test_a_selector_may_name_what_the_base_fixes(tmp_path):
    found = evidence(tmp_path, grid={"init": ["he"], "seed": [0, 1, 2, 3, 4]})
    assert verdict(found, cells="width=4,init=he,power=2")["verdict"] == "agrees"
    assert verdict(found, cells="width=8,init=he")["why"] == "no network here has width=8,init=he"


def test_a_selector_may_name_what_an_axis_of_arms_varies(tmp_path):
    arms = {"main": {}, "slow": {"loss.power": 3.0, "optimizer.lr": 0.01}, "slower": {"optimizer.lr": 0.01}}
    found = evidence(tmp_path, grid={"arm": arms, "seed": [0, 1, 2]})
    assert list(found.cells["lr"].unique()) == ["0.1", "0.01"]
    assert (found.study["varied"], found.study["fixed"]["width"]) == (["power", "lr"], "4")
    table = judge(found, [printed(cells="lr=0.010")])
    assert list(table["alternative"]) == ["arm=slow", "arm=slower"]
    assert list(judge(found, [printed(cells="power=3,lr=0.01")])["alternative"]) == [""]


def test_no_published_numbers_give_an_empty_table(tmp_path):
    table = judge(evidence(tmp_path), [])
    assert table.empty
    assert list(table.columns) == JUDGED
