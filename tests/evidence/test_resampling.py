"""Bootstrap intervals: they cover the truth as often as they say, and single draws have none."""

import math

import numpy as np
import pytest

from gengap.evidence.resampling import statistics


def test_the_statistics_are_numpys():
    values = np.random.default_rng(0).lognormal(size=200)
    found = statistics(values)
    assert found["mean"] == pytest.approx(values.mean())
    assert found["median"] == pytest.approx(np.median(values))
    assert found["variance"] == pytest.approx(values.var(ddof=1))
    assert statistics(values) == found


@pytest.mark.parametrize(("name", "truth"), [("mean", 0.0), ("median", 0.0), ("variance", 1.0)])
def test_intervals_cover_the_truth_19_times_in_20(name, truth):
    samples = np.random.default_rng(1).normal(size=(200, 150))
    found = [statistics(sample) for sample in samples]
    covered = np.mean([one[f"{name}_low"] <= truth <= one[f"{name}_high"] for one in found])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 200) + 0.015)


def test_few_draws():
    one, none = statistics([2.0]), statistics([])
    assert (one["mean"], one["median"]) == (2.0, 2.0)
    assert all(math.isnan(one[key]) for key in ("variance", "mean_low", "median_high", "variance_low"))
    assert all(map(math.isnan, none.values()))
    assert statistics([3.0, 3.0])["variance_high"] == 0.0
