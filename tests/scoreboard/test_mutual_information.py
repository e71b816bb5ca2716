"""Conditional mutual information and PGDL's score against all pairs of networks, counted one by one."""

import itertools
from collections import Counter

import networks
import numpy as np
import pandas as pd
import pytest

from gengap.scoreboard import mutual_information
from gengap.scoreboard.mutual_information import information
from gengap.scoreboard.resampling import weights


def entropy(counts):
    p = np.array(list(counts), dtype=float) / sum(counts)
    return -(p[p > 0] * np.log2(p[p > 0])).sum()


def enumerated(rows, axes):
    """I / H by definition: ordered pairs, three signs, the axes' values of both networks as the condition."""
    cells = {}
    for one, other in itertools.permutations(rows.to_dict("records"), 2):
        if one["config"] == other["config"] and one["copy"] != other["copy"]:
            continue
        condition = tuple((one[axis], other[axis]) for axis in axes)
        signs = (np.sign(one["m"] - other["m"]), np.sign(one["gap"] - other["gap"]))
        cells.setdefault(condition, Counter())[signs] += 1
    total = sum(sum(cell.values()) for cell in cells.values())
    shared = unknown = 0.0
    for cell in cells.values():
        share = sum(cell.values()) / total
        of = [Counter(), Counter()]
        for signs, count in cell.items():
            of[0][signs[0]] += count
            of[1][signs[1]] += count
        shared += share * (entropy(of[0].values()) + entropy(of[1].values()) - entropy(cell.values()))
        unknown += share * entropy(of[1].values())
    return shared / unknown


def contest(rows, axes):
    """PGDL's rule: larger or not, a network with itself as well, conditions count equally; least over pairs of axes."""
    least = np.inf
    for pair in itertools.combinations(axes, 2):
        cells = {}
        for one, other in itertools.product(rows.to_dict("records"), repeat=2):
            condition = tuple((one[axis], other[axis]) for axis in pair)
            larger = (one["m"] > other["m"], one["gap"] > other["gap"])
            cells.setdefault(condition, Counter())[larger] += 1
        shared, unknown = [], []
        for cell in cells.values():
            of_m = [cell[True, True] + cell[True, False], cell[False, True] + cell[False, False]]
            of_g = [cell[True, True] + cell[False, True], cell[True, False] + cell[False, False]]
            shared.append(entropy(of_m) + entropy(of_g) - entropy(cell.values()))
            unknown.append(entropy(of_g))
        least = min(least, np.mean(shared) / np.mean(unknown))
    return 100 * least


SETS = [(), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("row", [0, 3])
def test_every_set_is_what_all_pairs_give(ties, row):
    """In the sample itself, and in a resample whose networks are written out."""
    found = networks.grid(axes=(3, 2, 2), seeds=2, ties=ties)
    draws = weights(len(found.starts), 4)
    measured = information(found, found.matrix(["m"]), draws)
    rows = networks.drawn(found, draws[row])
    assert list(measured.by_set) == sorted(SETS, key=len)
    for axes in SETS:
        assert measured.by_set[axes][row, 0] == pytest.approx(enumerated(rows, axes), abs=1e-5), axes
    assert measured.least[row, 0] == min(measured.by_set[axes][row, 0] for axes in SETS)


@pytest.mark.parametrize("ties", [False, True])
def test_pgdls_score(ties):
    found = networks.grid(axes=(3, 2, 2), seeds=1, ties=ties)
    measured = information(found, found.matrix(["m"]), weights(len(found.starts), 2))
    assert measured.pgdl[0, 0] == pytest.approx(contest(found.table, "abc"), abs=1e-6)


def test_a_copy_of_the_gap_is_everything_and_a_constant_nothing():
    table = networks.grid().table
    found = networks.made(table.assign(m=table["gap"] ** 3, k=1.0), axes=list("abc"))
    measured = information(found, found.matrix(["m", "k"]), weights(len(found.starts), 1))
    assert measured.least[0] == pytest.approx([1, 0], abs=1e-9)


def test_a_proxy_of_one_axis_is_nothing_once_the_axis_is_known():
    table = pd.DataFrame(list(itertools.product(range(4), range(4))), columns=["a", "b"])
    generator = np.random.default_rng(0)
    found = networks.made(
        table.assign(gap=table["a"] + 0.1 * generator.normal(size=16), m=table["a"], k=0.0), axes=["a", "b"]
    )
    measured = information(found, found.matrix(["m"]), weights(16, 1))
    assert measured.by_set[()][0, 0] > 0.7
    assert measured.by_set["a",][0, 0] == pytest.approx(0, abs=1e-9)


def test_a_single_axis_has_no_score_of_pgdl():
    found = networks.grid(axes=(8,), seeds=2)
    measured = information(found, found.matrix(["m"]), weights(8, 2))
    assert list(measured.by_set) == [(), ("a",)]
    assert np.isnan(measured.pgdl).all()


def test_of_many_configurations_some_are_drawn(monkeypatch):
    found = networks.grid(axes=(6, 5), seeds=2)
    draws = weights(30, 3)
    monkeypatch.setattr(mutual_information, "MOST", 12)
    measured = information(found, found.matrix(["m"]), draws)
    assert measured.configurations == 12
    assert measured.by_set[()].shape == (4, 1)
    assert np.isfinite(measured.by_set[()]).all()
