"""The rule of the verdicts: its parts by hand, and whole on populations of known truth."""

import networks
import numpy as np
import pytest

from gengap.scoreboard import simulated, verdicts
from gengap.scoreboard.board import board, decide
from gengap.scoreboard.verdicts import holm

TABLES = 6


def test_holm_by_hand():
    """The smallest of four p values counts fourfold, the next threefold; none is below the one before it."""
    assert holm(np.array([0.04, 0.01, 0.5, 0.012])) == pytest.approx([0.08, 0.04, 0.5, 0.04])
    assert holm(np.array([0.4, 0.6])) == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("name", list(simulated.POPULATIONS))
def test_no_population_fools_the_scoreboard(name):
    """Fixed draws, so certain; `bench/scoreboard.py` has a thousand of each, of another stream."""
    words = []
    for repetition in range(TABLES):
        population = simulated.POPULATIONS[name](np.random.default_rng([2, repetition]))
        words += [verdict.word for verdict in decide(population).values()]
    right = [word in simulated.ALLOWED[name] for word in words]
    assert len(right) == TABLES * simulated.MEASURES
    if name in simulated.POWERED:
        assert np.mean(right) >= 0.9
    else:
        assert all(right)
    if name == "sign_flip":
        assert words.count(verdicts.INCONSISTENT) > len(words) / 2
    if name == "proxy":
        assert words.count(verdicts.PROXY) > len(words) / 2


def test_failed_networks_are_a_share_of_their_own_and_change_nothing():
    """Dead networks have a huge measure and no gap, diverged ones no number: without them all is as before."""
    population = simulated.signal(np.random.default_rng(0))
    assert set(population.left_out) == {"dead", "gap not finite"}
    assert 15 < population.left_out["dead"] < 45
    assert len(population.table) + sum(population.left_out.values()) == 900
    assert population.table["status"].eq("finished").all()
    assert population.table["measure_1"].max() < 1e6


def test_one_network_per_configuration_is_undecided():
    """However well a measure follows the gap, it may stand for the design."""
    table = networks.grid(axes=(6, 6), seeds=1).table
    found = decide(networks.made(table.assign(m=table["gap"]), axes=["a", "b"]))["m"]
    assert found.word == verdicts.UNDECIDED
    assert "one network per configuration" in found.why


def test_small_tables_are_undecided_rather_than_without_evidence():
    """Three configurations per level that agree by chance are no evidence of anything."""
    for seed in range(20):
        assert decide(networks.grid(seed, axes=(3, 3), seeds=2))["k"].word == verdicts.UNDECIDED


def test_a_measure_against_the_gap_contradicts():
    table = networks.grid(axes=(6, 6), seeds=4).table
    found = decide(networks.made(table.assign(m=-table["gap"]), axes=["a", "b"]))["m"]
    assert found.word == verdicts.CONTRADICTS
    found = decide(networks.made(table.assign(m=-table["gap"]), axes=["a", "b"], decreasing=["m"]))["m"]
    assert found.word == verdicts.EXPLAINS


def test_the_controls_are_what_they_are_called():
    made = board(simulated.proxy(np.random.default_rng(1)), resamples=60)
    words = made.verdicts.set_index("measure")["verdict"]
    assert words["noisy oracle"] == verdicts.EXPLAINS
    assert words["design only"] == verdicts.PROXY
    assert words["random"] in (verdicts.NO_EVIDENCE, verdicts.UNDECIDED)
    assert made.verdicts["control"].tolist() == [False] * 5 + [True] * 3
    names = {"random", "design only", "noisy oracle", *simulated.NAMES}
    assert all(set(rows["measure"]) == names for _, rows in made.statistics.groupby(["statistic", "axis"]))


def test_other_statistics_reward_the_proxy():
    """Why the verdict does not rest on them: what knows the design alone scores far above random numbers."""
    statistics = board(simulated.proxy(np.random.default_rng(3)), resamples=60).statistics
    overall = statistics[statistics["axis"] == "all"].set_index(["statistic", "measure"])
    for statistic in ("granulated_psi", "least_conditional_mutual_information", "pgdl_score"):
        assert overall.loc[(statistic, "measure_1"), "low"] > overall.loc[(statistic, "random"), "high"]
    assert overall.loc[("equal_design_correlation", "measure_1"), "low"] < 0
