"""Pairs, intervals and tests against scipy's own paired tests; Holm's correction by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import stats

from gengap.errors import UserError
from gengap.evidence.paired import by_seed, compared_axis, effect, holm, interaction, pairs
from gengap.studies.study import load_study


def test_effect_is_scipy_s_paired_test():
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 1, 12), rng.normal(0.3, 1, 12)
    found = effect(one - other)
    expected = stats.ttest_rel(one, other)
    interval = expected.confidence_interval(0.95)
    assert found["p_t"] == pytest.approx(expected.pvalue)
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((interval.low, interval.high))
    assert found["p_wilcoxon"] == pytest.approx(stats.wilcoxon(one, other).pvalue)
    assert found["bootstrap_low"] == pytest.approx(interval.low, abs=0.3)
    assert found["bootstrap_low"] < found["difference"] < found["bootstrap_high"]
    assert found["largest"] == np.abs(one - other).max()


def test_no_difference_at_all_and_too_few_pairs():
    assert (effect([0.0] * 4)["p_t"], effect([0.0] * 4)["p_wilcoxon"]) == (1.0, 1.0)
    assert effect([2.0] * 6)["p_t"] == 0.0
    for few in ([], [1.0]):
        found = effect(few)
        assert math.isnan(found["p_t"])
        assert math.isnan(found["difference_low"])
    assert effect([1.0])["difference"] == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, math.nan]) == pytest.approx([0.03, 0.06, 0.06, math.nan], nan_ok=True)
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_pairs_agree_on_everything_else(tmp_path):
    grid = [
        {"model.width": [4], "init": ["xavier", "he"], "seed": [0, 1]},
        {"model.width": [8], "init": ["he"], "seed": [0, 1]},
        {"model.width": [16], "init": ["normal", "xavier"], "seed": [1]},
    ]
    path = tmp_path / "made_up.yaml"
    path.write_text(f"title: Made up\ngrid: {grid}\n")
    found = synthetic.collected(tmp_path, load_study(path), probes=("performance",), snapshots=())
    assert compared_axis(found, "init") == "init"
    by_value = {
        value: list(both[["cell", "baseline"]].itertuples(index=False, name=None))
        for value, _, both in pairs(found, "init")
    }
    assert by_value["he"] == [(f"width=4,init=he,seed={s}", f"width=4,init=xavier,seed={s}") for s in (0, 1)]
    assert by_value["normal"] == [("width=16,init=normal,seed=1", "width=16,init=xavier,seed=1")]
    assert {baseline for _, baseline, _ in pairs(found, "init")} == {"xavier"}


@pytest.mark.parametrize(
    ("grid", "named", "axis"),
    [
        ({"model.width": [4, 8], "optimizer.lr": [0.1], "seed": [0]}, None, "width"),
        ({"model.width": [4, 8], "init": ["he", "xavier"], "seed": [0]}, "width", "width"),
        ({"model.width": [4, 8], "init": ["he", "xavier"], "seed": [0]}, "init", "init"),
        ({"model.width": [4], "init": ["he"], "optimizer.lr": [0.1, 0.2]}, None, "lr"),
    ],
)
def test_which_axis_is_compared(tmp_path, grid, named, axis):
    assert (
        compared_axis(
            synthetic.collected(tmp_path, synthetic.study(tmp_path, grid), probes=("performance",), snapshots=()), named
        )
        == axis
    )


@pytest.mark.parametrize(
    ("grid", "named", "said"),
    [
        ({"seed": [0, 1]}, None, "no two cells differ in only one axis"),
        ({"model.width": [4, 8], "init": ["he", "xavier"]}, None, "axis: width"),
        ({"model.width": [4, 8], "init": ["he"]}, "init", "Choose from: width"),
        ({"model.width": [4, 8], "seed": [0, 1]}, "seed", "Choose from: width"),
    ],
)
def test_an_axis_is_never_chosen_for_the_user(tmp_path, grid, named, said):
    found = synthetic.collected(tmp_path, synthetic.study(tmp_path, grid), probes=("performance",), snapshots=())
    with pytest.raises(UserError, match=said):
        compared_axis(found, named)


def made_differences(rng, *, seeds=10, rates=(0.1, 0.2, 0.4), effect=0.0, of_seed=1.0, noise=0.1, slope=0.0):
    """Pairs whose difference is an effect, what the seed adds to all its settings, and what the rate adds."""
    return pd.DataFrame(
        [
            {"seed": seed, "lr": rate, "difference": effect + shift + slope * place + rng.normal(0, noise)}
            for seed, shift in enumerate(rng.normal(0, of_seed, seeds))
            for place, rate in enumerate(rates)
        ]
    )


def test_settings_that_share_a_seed_are_no_independent_runs():
    """There is no effect: of 200 studies, about 5 % say p < 0.05 with seeds as blocks, and far more with all pairs."""
    rng = np.random.default_rng(0)
    studies = [made_differences(rng) for _ in range(200)]
    blocked = np.mean([effect(by_seed(one))["p_t"] < 0.05 for one in studies])
    pooled = np.mean([effect(one["difference"].tolist())["p_t"] < 0.05 for one in studies])
    assert blocked < 0.09
    assert pooled > 0.2


def test_a_seeds_difference_is_its_mean_over_settings():
    found = made_differences(np.random.default_rng(1), seeds=4)
    assert by_seed(found) == pytest.approx(found.groupby("seed")["difference"].mean().tolist())
    assert by_seed(found.drop(columns=["lr"]).drop_duplicates("seed")) == pytest.approx(
        found.drop_duplicates("seed")["difference"].tolist()
    )
    assert by_seed(found.drop(columns=["seed"])) == pytest.approx([found["difference"].mean()])
    assert by_seed(found.iloc[:0]) == []


def test_a_missing_pair_moves_no_seed_by_the_level_of_its_setting():
    """The third rate adds 20; a seed that lacks it keeps its place among the others."""
    found = made_differences(np.random.default_rng(2), seeds=6, of_seed=0.0, noise=0.0, slope=10.0)
    found = found[~((found["seed"] == 3) & (found["lr"] == 0.4))]
    assert by_seed(found) == pytest.approx([10.0] * 6)


def test_interaction_of_two_values_is_the_paired_t_test():
    found = made_differences(np.random.default_rng(3), rates=(0.1, 0.2), slope=0.1)
    wide = found.pivot(index="seed", columns="lr", values="difference")
    assert interaction(found, "lr") == pytest.approx(stats.ttest_rel(wide[0.1], wide[0.2]).pvalue)


def test_interaction_is_found_where_it_is_and_only_there():
    rng = np.random.default_rng(4)
    assert interaction(made_differences(rng, slope=1.0), "lr") < 1e-6
    none = np.mean([interaction(made_differences(rng), "lr") < 0.05 for _ in range(200)])
    assert none < 0.09


def test_interaction_needs_seeds_and_values():
    found = made_differences(np.random.default_rng(5))
    assert math.isnan(interaction(found[found["seed"] == 0], "lr"))
    assert math.isnan(interaction(found[found["lr"] == 0.1], "lr"))
    assert math.isnan(interaction(found.drop(columns="seed"), "lr"))
    assert interaction(found.assign(difference=2.5), "lr") == 1.0
