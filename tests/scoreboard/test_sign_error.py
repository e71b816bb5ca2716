"""Sign errors of environments, counted by hand."""

import math

import networks
import numpy as np
import pandas as pd
import pytest

from gengap.scoreboard.neighbours import neighbours
from gengap.scoreboard.resampling import weights
from gengap.scoreboard.sign_error import environments, summary, weight


def two_by_four(gaps, measures, **options):
    """Two values of a, four of b, two seeds: pairs of networks per environment are 4."""
    rows = [(a, b, seed) for a in range(2) for b in range(4) for seed in range(2)]
    table = pd.DataFrame(rows, columns=["a", "b", "seed"])
    return networks.made(table.assign(gap=gaps, m=measures, k=0.0), axes=["a", "b"], **options)


def test_by_hand():
    """Along a at b = 0: gaps 0 and 1 against 2 and 3; the measure orders 3 of the 4 pairs rightly."""
    gaps = np.array([0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3.0])
    measures = np.array([0, 2.5, 0, 0, 0, 0, 9, 9, 2, 3, 1, 1, 0, 0, 1, 1])
    found = two_by_four(gaps, measures)
    one = environments(found, list(neighbours(found)), found.matrix(["m"]), least=4)
    along = one.error[one.axis == 0, 0]
    assert along == pytest.approx([1 / 4, 0, 1 / 2, 1])  # b = 0, 1, 2 (all ties), 3
    mean, ninth, largest = summary(one, weights(8, 2), 0)
    assert mean[0, 0] == pytest.approx(1.75 / 4)
    # Both directions: 0, 0, 1/4, 1/4, 1/2, 1/2, 1, 1; position 0.9 x 7 = 6.3.
    assert ninth[0, 0] == pytest.approx(1.0)
    assert largest[0, 0] == 1.0


def test_the_weight_by_hand():
    """n = 10,000: a difference of 0.02 has 2 exp(-2 n 0.01^2) = 2 exp(-2); of 0.04, 2 exp(-8)."""
    found = weight(np.array([0.0, 0.01, 0.02, 0.04, 1.0]), 10_000)
    assert found[:2].tolist() == [0, 0]
    assert found[2] == pytest.approx((1 - 2 * math.exp(-2)) ** 2 - 0.5)
    assert found[3] == pytest.approx((1 - 2 * math.exp(-8)) ** 2 - 0.5)
    assert found[4] == pytest.approx(0.5)
    assert weight(np.array([0.0, 3.0]), 0).tolist() == [1, 1]


def test_differences_inside_the_noise_are_left_out():
    """Along a the gaps differ clearly at b = 0 and hardly elsewhere; only clear pairs count."""
    gaps = np.array([0.1, 0.2, *[0.5] * 6, 0.3, 0.4, *[0.501] * 6])
    measures = np.array([1, 0, *[0.0] * 6, 2, 3, *[0.0] * 6])
    found = two_by_four(gaps, measures, test_size=10_000)
    one = environments(found, list(neighbours(found)), found.matrix(["m"]), least=3.5)
    assert one.first[one.axis == 0].tolist() == [0]
    assert one.error[one.axis == 0, 0] == pytest.approx([0])
    sample = weight(np.array([0.2, 0.3, 0.1, 0.2]), 10_000)
    assert one.sample[one.axis == 0] == pytest.approx([sample.sum() ** 2 / (sample**2).sum()])


def test_too_few_pairs_make_no_environment():
    found = networks.grid(axes=(3, 3), seeds=3)  # 9 pairs
    none = environments(found, list(neighbours(found)), found.matrix(["m"]))
    assert len(none.axis) == 0
    assert all(np.isnan(one).all() for one in summary(none, weights(9, 2)))
    found = networks.grid(axes=(3, 3), seeds=4)  # 16 pairs
    assert len(environments(found, list(neighbours(found)), found.matrix(["m"])).axis) == 18


def test_a_resample_is_the_environments_written_out():
    found = networks.grid(axes=(4, 3), seeds=4)
    one = environments(found, list(neighbours(found)), found.matrix(["m", "k"]))
    draws = weights(12, 5)
    mean, ninth, largest = summary(one, draws)
    for row in (1, 4):
        times = (draws[row, one.first] * draws[row, one.second]).astype(int)
        written = np.sort(np.repeat(one.error, times, axis=0), axis=0)
        assert mean[row] == pytest.approx(written.mean(axis=0))
        assert largest[row] == pytest.approx(written[-1])
        assert ninth[row] == pytest.approx(np.quantile(written, 0.9, axis=0, method="inverted_cdf"))
