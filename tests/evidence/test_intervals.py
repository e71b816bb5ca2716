"""Intervals against closed forms and simulation; failed cells are counted, and never averaged."""

import math

import numpy as np
import pytest
import synthetic
from scipy import stats

from gengap.evidence.intervals import interval, over_seeds

DEAD, DIVERGED = "width=4,init=he,seed=1", "width=4,init=he,seed=3"


def test_two_runs_in_closed_form():
    """For n = 2 the t quantile is tan(0.475 pi); with values 1 and 3: mean 2, s = sqrt 2."""
    t = math.tan(0.475 * math.pi)
    found = interval([1.0, 3.0])
    assert (found.n, found.mean, found.min, found.max) == (2, 2.0, 1.0, 3.0)
    (mean_low, mean_high), (next_low, next_high) = found.of_mean, found.of_next()
    assert mean_high - found.mean == found.mean - mean_low == pytest.approx(t * math.sqrt(2) / math.sqrt(2))
    assert next_high - found.mean == pytest.approx(t * math.sqrt(2) * math.sqrt(1.5))
    assert found.mean - next_low == pytest.approx(next_high - found.mean)
    assert found.probability(next_high) == pytest.approx(0.05)


def test_intervals_of_shares_stay_between_0_and_1():
    found = interval([0.9263, 0.5, 0.8], share=True)
    for low, high in (found.of_mean, found.of_next(), found.of_next(100)):
        assert 0 <= low < found.mean < high <= 1
    assert interval([1.0] * 5, share=True).of_next() == (1.0, 1.0)
    assert interval([0.0] * 5, share=True).of_next() == (0.0, 0.0)
    assert interval([1.0] * 5, share=True).probability(1.0) == 1.0
    assert interval([1.0] * 5, share=True).probability(0.9) == 0.0
    # On the logit scale the intervals are those of the numbers themselves.
    low, high = found.of_next()
    logits = np.log([p / (1 - p) for p in (5e-5 + (1 - 1e-4) * x for x in (0.9263, 0.5, 0.8))])
    plain = interval(logits).of_next()
    assert [math.log(p / (1 - p)) for p in (5e-5 + (1 - 1e-4) * end for end in (low, high))] == pytest.approx(plain)


@pytest.mark.parametrize(
    "values",
    [
        [1 / 60_000] * 5,  # whose logit comes back with a rounding error
        [0.0] * 4 + [0.5],
        [1.0, 1.0, 0.2],
        [0.3, 0.3],
    ],
)
def test_the_mean_lies_in_its_interval(values):
    found = interval(values, share=True)
    low, high = found.of_mean
    assert 0 <= low <= found.mean <= high <= 1


def test_the_interval_of_the_mean_is_scipys():
    values = np.random.default_rng(0).normal(5, 2, 7)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    found = interval(values)
    assert found.of_mean == pytest.approx((low, high))


def test_the_prediction_interval_covers_one_further_run_19_times_in_20():
    draws = np.random.default_rng(1).normal(size=(4000, 6))
    found = [interval(row[:5]) for row in draws]
    ends = [one.of_next() for one in found]
    covered = np.mean([low <= row[5] <= high for (low, high), row in zip(ends, draws, strict=True)])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_the_interval_for_a_mean_of_further_runs_covers_it_19_times_in_20():
    draws = np.random.default_rng(2).normal(size=(4000, 12))
    ends = [interval(row[:5]).of_next(7) for row in draws]
    covered = np.mean([low <= row[5:].mean() <= high for (low, high), row in zip(ends, draws, strict=True)])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))
    one = interval([1.0, 3.0, 4.0])
    assert one.of_next(10**12) == pytest.approx(one.of_mean)


def test_too_few_runs_have_no_interval():
    one, none = interval([2.5]), interval([])
    assert (one.n, one.mean) == (1, 2.5)
    assert math.isnan(one.of_mean[0])
    assert math.isnan(one.of_next()[1])
    assert none.n == 0
    assert math.isnan(none.mean)


@pytest.fixture
def found(tmp_path):
    values = {f"width=4,init=he,seed={seed}": {"test_loss": float(seed)} for seed in range(5)}
    values[DEAD] = {"test_loss": 1e6}
    values[DIVERGED] = {"test_loss": math.nan}
    values["width=4,init=he,seed=4"] = {"test_loss": math.inf}
    status = {DEAD: "dead", DIVERGED: "diverged"}
    return synthetic.collected(tmp_path, synthetic.study(tmp_path), values=values, status=status)


def test_failed_cells_are_counted_and_named_but_not_averaged(found):
    row = over_seeds(found, ["test_loss"]).iloc[0]
    assert (row["width"], row["init"], row["quantity"]) == (4, "he", "test_loss")
    assert (row["n"], row["mean"], row["min"], row["max"]) == (2, 1.0, 0.0, 2.0)
    assert (row["n_dead"], row["n_diverged"], row["n_unmeasured"]) == (1, 1, 1)
    assert row["left_out"] == f"{DEAD} (dead); {DIVERGED} (diverged); width=4,init=he,seed=4 (unmeasured)"


def test_one_row_per_group_and_quantity(found):
    table = over_seeds(found, ["train_loss", "test_loss"])
    assert list(table["width"]) == [4, 4, 16, 16, 64, 64]
    assert list(table["n"]) == [3, 2, 5, 5, 5, 5]
    assert table["left_out"].iloc[2:].eq("").all()
