"""The correlation at equal design: blind to the design, to shared seeds and to what is held equal."""

import networks
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from gengap.scoreboard.equal_design import equal_design
from gengap.scoreboard.resampling import interval, weights


def judged(found, measures=("m", "k"), resamples=20):
    return equal_design(found, found.matrix(measures), weights(len(found.starts), resamples))


def test_any_function_of_the_design_is_0():
    table = networks.grid(seeds=4).table
    curved = np.exp(table["a"]) * (table["b"] - 1) + 7 * table["c"]
    found = networks.made(table.assign(m=curved), axes=list("abc"))
    one = judged(found)
    assert (one.r[:, 0] == 0).all()
    assert one.p[0] == 1


def test_the_gap_itself_is_1():
    table = networks.grid(seeds=4).table
    found = networks.made(table.assign(m=np.exp(table["gap"]), k=-table["gap"]), axes=list("abc"))
    one = judged(found)
    assert one.r[0] == pytest.approx([1, -1])
    assert one.p == pytest.approx(2.0**-17)  # 18 configurations agree


def test_two_networks_per_configuration_by_hand():
    """Ranks are -1 and 1 then: r is the share of configurations ordered alike minus the share ordered otherwise."""
    found = networks.grid(axes=(4, 4), seeds=2)
    found.table["seed"] = np.arange(32)  # no seed is shared
    found = networks.made(found.table, axes=["a", "b"])
    m, g = (found.values(name).reshape(-1, 2) for name in ("m", "gap"))
    alike = np.sign(m[:, 0] - m[:, 1]) * np.sign(g[:, 0] - g[:, 1])
    one = judged(found, ["m"])
    assert one.r[0, 0] == pytest.approx(alike.mean())
    assert (one.configurations, one.networks) == (16, 32)


def test_one_configuration_gives_spearmans_correlation():
    found = networks.grid(axes=(8,), seeds=30)
    expected = np.mean([spearmanr(rows["m"], rows["gap"]).statistic for _, rows in found.table.groupby("a")])
    assert judged(found, ["m"]).r[0, 0] == pytest.approx(expected)


def test_a_seed_shared_by_all_configurations_is_removed():
    table = networks.grid(axes=(5, 5), seeds=6).table
    lucky = table["seed"] * 100.0
    with_seeds = networks.made(table.assign(m=lucky, gap=lucky + table["gap"]), axes=["a", "b"])
    assert judged(with_seeds).p[0] == 1
    without = networks.made(table.assign(m=lucky, gap=lucky + table["gap"]).drop(columns="seed"), axes=["a", "b"])
    assert judged(without).p[0] == pytest.approx(2.0**-24)


def test_what_is_held_equal_does_not_count():
    table = networks.grid(axes=(5, 5), seeds=6).table
    loss = table["k"]
    table = table.assign(
        loss=loss, m=loss + 0.01 * table["m"], gap=loss + 0.01 * np.random.default_rng(1).normal(size=150)
    )
    assert judged(networks.made(table, axes=["a", "b"])).r[0, 0] > 0.9
    equal = judged(networks.made(table.drop(columns="k").assign(k=0.0), axes=["a", "b"], equal=["loss"]))
    assert equal.p[0] > 0.05


def test_levels_add_up_and_name_their_values():
    table = networks.grid(axes=(3, 4), seeds=5).table
    table["a"] = table["a"].map({0: "he", 1: "xavier", 2: "normal"})
    one = judged(networks.made(table, axes=["a", "b"]))
    levels = one.by_level[(one.by_level["axis"] == "a") & (one.by_level["measure"] == 0)]
    assert levels["level"].tolist() == ["he", "normal", "xavier"]
    assert levels["n"].tolist() == [4, 4, 4]
    assert levels["r"].mean() == pytest.approx(one.r[0, 0], abs=0.02)


def test_the_interval_resamples_configurations_not_networks():
    """Networks that are copies of each other tell nothing new: the interval stays as it was."""
    table = networks.grid(axes=(4, 5), seeds=2).table.drop(columns="seed")
    once = judged(networks.made(table, axes=["a", "b"]), resamples=300)
    copies = networks.made(pd.concat([table] * 10, ignore_index=True), axes=["a", "b"])
    often = judged(copies, resamples=300)
    assert np.stack(interval(often.r)) == pytest.approx(np.stack(interval(once.r)), abs=1e-9)
    assert often.p == pytest.approx(once.p)


def test_single_networks_say_nothing():
    one = judged(networks.grid(axes=(4, 4), seeds=1))
    assert (one.r == 0).all()
    assert (one.p == 1).all()
    assert one.configurations == 0
