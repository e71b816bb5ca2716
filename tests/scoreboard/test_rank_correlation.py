"""Kendall's tau and Jiang's psi against scipy, by hand, and against resamples that are written out."""

import networks
import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from gengap.scoreboard import rank_correlation
from gengap.scoreboard.neighbours import neighbours
from gengap.scoreboard.rank_correlation import psi, tau
from gengap.scoreboard.resampling import weights


def concordance(rows):
    """Sum of sign times sign and number of pairs, over pairs of different copies or of one copy's seeds."""
    total = pairs = 0
    for i in range(len(rows)):
        for j in range(len(rows)):
            one, other = rows.iloc[i], rows.iloc[j]
            if i == j or (one["config"] == other["config"] and one["copy"] != other["copy"]):
                continue
            total += np.sign(one["m"] - other["m"]) * np.sign(one["gap"] - other["gap"])
            pairs += 1
    return total / pairs


def test_tau_is_scipys_without_ties():
    found = networks.grid()
    values = found.matrix(["m", "k"])
    expected = [kendalltau(found.values("gap"), column).statistic for column in values.T]
    assert tau(found, values, weights(len(found.starts), 3))[0] == pytest.approx(expected, abs=1e-12)


def test_a_tie_counts_0():
    table = pd.DataFrame({"a": range(8), "gap": range(8), "m": [0] * 4 + [1] * 4, "k": range(8)})
    found = networks.made(table, axes=["a"])
    # 16 of the 28 pairs are ordered by m, all of them like g.
    assert tau(found, found.matrix(["m", "k"]), weights(8, 1))[0] == pytest.approx([16 / 28, 1.0])


def test_a_resample_of_tau_is_tau_of_the_networks_written_out(monkeypatch):
    found = networks.grid(axes=(3, 3), seeds=2, ties=True)
    draws = weights(len(found.starts), 4)
    whole = tau(found, found.matrix(["m"]), draws)
    for row in (0, 2, 4):
        assert whole[row, 0] == pytest.approx(concordance(networks.drawn(found, draws[row])), abs=1e-6)
    monkeypatch.setattr(rank_correlation, "_ELEMENTS", 40)  # many blocks
    assert tau(found, found.matrix(["m"]), draws) == pytest.approx(whole, abs=1e-6)


def test_psi_by_hand():
    """Axes a and b with three values each: psi of a is the mean over b of tau where a alone changes."""
    table = pd.DataFrame(
        {
            "a": [0, 1, 2] * 3,
            "b": [0] * 3 + [1] * 3 + [2] * 3,
            "gap": [1, 2, 3, 4, 5, 6, 7, 8, 9],
            "m": [1, 2, 3, 6, 5, 4, 7, 9, 8],  # tau 1, -1, 1/3
            "k": [0] * 9,
        }
    )
    found = networks.made(table, axes=["a", "b"])
    draws = weights(9, 5)
    of_a, of_b = (psi(found, axis, found.matrix(["m", "k"]), draws)[0] for axis in neighbours(found))
    assert of_a == pytest.approx([(1 - 1 + 1 / 3) / 3, 0])
    assert of_b == pytest.approx([1, 0])


def test_psi_with_seeds_compares_networks_that_differ_in_the_axis():
    found = networks.grid(axes=(2, 4), seeds=2)
    axis = next(iter(neighbours(found)))
    groups = []
    for _, rows in found.table.groupby("b"):
        one, other = rows[rows["a"] == 0], rows[rows["a"] == 1]
        signs = [np.sign(x.m - y.m) * np.sign(x.gap - y.gap) for x in one.itertuples() for y in other.itertuples()]
        groups.append(np.mean(signs))
    assert len(groups) == 4
    assert psi(found, axis, found.matrix(["m"]), weights(8, 1))[0] == pytest.approx([np.mean(groups)])


def test_groups_count_equally_in_a_grid_with_holes():
    table = networks.grid(axes=(4, 3), seeds=1).table
    table = table[~((table["b"] == 0) & (table["a"] > 1))]
    found = networks.made(table, axes=["a", "b"])
    axis = next(iter(neighbours(found)))
    expected = np.mean([kendalltau(rows["m"], rows["gap"]).statistic for _, rows in table.groupby("b")])
    assert psi(found, axis, found.matrix(["m"]), weights(len(found.starts), 1))[0] == pytest.approx([expected])
