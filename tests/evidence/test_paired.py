"""Pairs, intervals and tests against scipy's own paired tests; Holm's correction by hand."""

import math

import numpy as np
import pytest
import synthetic
from scipy import stats

from gengap.evidence.paired import compared_axis, effect, holm, pairs
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
    found = synthetic.collected(tmp_path, load_study(path))
    assert compared_axis(found) == "init"
    by_value = {value: list(both.itertuples(index=False, name=None)) for value, _, both in pairs(found, "init")}
    assert by_value["he"] == [(f"width=4,init=he,seed={s}", f"width=4,init=xavier,seed={s}") for s in (0, 1)]
    assert by_value["normal"] == [("width=16,init=normal,seed=1", "width=16,init=xavier,seed=1")]
    assert {baseline for _, baseline, _ in pairs(found, "init")} == {"xavier"}


@pytest.mark.parametrize(
    ("grid", "axis"),
    [
        ({"seed": [0, 1]}, ""),
        ({"model.width": [4, 8], "optimizer.lr": [0.1], "seed": [0]}, "width"),
        ({"model.width": [4, 8], "init": ["he", "xavier"], "seed": [0]}, "init"),
        ({"model.width": [4], "init": ["he"], "optimizer.lr": [0.1, 0.2]}, "lr"),
    ],
)
def test_which_axis_is_compared(tmp_path, grid, axis):
    assert compared_axis(synthetic.collected(tmp_path, synthetic.study(tmp_path, grid))) == axis
