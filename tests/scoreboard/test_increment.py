"""What a measure adds to the design's prediction, against a fit that is written out."""

import networks
import numpy as np
import pandas as pd
import pytest

from gengap.scoreboard.increment import FOLDS, design_features, increment
from gengap.scoreboard.resampling import weights


def written_out(found, measure, draw):
    """Out-of-fold shares without and with a measure: plain least squares over networks, copies as rows."""
    features = design_features(found.levels)[found.config]
    fold = np.random.default_rng(0).permutation(np.arange(len(found.starts)) % FOLDS)[found.config]
    n = len(found.table)
    gap, other = ((2 * pd.Series(found.values(name)).rank().to_numpy() - 1) / n - 1 for name in ("gap", measure))
    times = draw[found.config]
    wrong = np.zeros(2)
    for one in range(FOLDS):
        train, test = (fold != one) * times, (fold == one) * times
        gram = (features * train[:, None]).T @ features
        ridge = 0.01 * np.maximum(np.diag(gram), 1)
        ridge[0] = 0
        solve = np.linalg.solve(gram + np.diag(ridge), (features * train[:, None]).T)
        rest_gap, rest_other = gap - features @ (solve @ gap), other - features @ (solve @ other)
        slope = (train * rest_gap * rest_other).sum() / (train * rest_other**2).sum()
        wrong += [(test * rest_gap**2).sum(), (test * (rest_gap - slope * rest_other) ** 2).sum()]
    total = (times * (gap - (times * gap).sum() / times.sum()) ** 2).sum()
    return 1 - wrong[0] / total, (wrong[0] - wrong[1]) / total


@pytest.mark.parametrize("row", [0, 2])
def test_written_out(row):
    found = networks.grid(axes=(4, 4, 3), seeds=2)
    draws = weights(48, 3)
    one = increment(found, found.matrix(["m", "k"]), draws)
    for at, name in enumerate("mk"):
        design, gain = written_out(found, name, draws[row])
        assert one.design[row] == pytest.approx(design)
        assert one.gain[row, at] == pytest.approx(gain)


def test_a_function_of_the_features_adds_nothing_and_the_gap_adds_the_rest():
    table = networks.grid(axes=(4, 4, 3), seeds=3).table
    found = networks.made(table.assign(m=2.0 * table["a"], k=table["gap"]), axes=list("abc"))
    one = increment(found, found.matrix(["m", "k"]), weights(48, 1))
    assert abs(one.gain[0, 0]) < 0.01
    assert one.design[0] + one.gain[0, 1] == pytest.approx(1, abs=1e-9)


def test_the_prediction_is_of_configurations_that_were_not_fitted():
    """A gap that depends only on each configuration cannot be predicted; one along an axis can."""
    table = networks.grid(axes=(5, 4, 3), seeds=2).table
    number = table.groupby(list("abc")).ngroup()
    alone = networks.made(table.assign(gap=np.random.default_rng(1).normal(size=60)[number]), axes=list("abc"))
    along = networks.made(table.assign(gap=table["a"] + 0.01 * table["gap"]), axes=list("abc"))
    found = [increment(one, one.matrix(["m"]), weights(60, 1)) for one in (alone, along)]
    assert found[0].design[0] < 0.2
    assert found[1].design[0] > 0.9
    assert np.corrcoef(found[1].prediction, along.values("gap"))[0, 1] > 0.95


def test_two_axes_together_need_three_configurations_per_feature():
    assert design_features(networks.grid(axes=(5, 4, 3)).levels).shape == (60, 1 + 4 + 3 + 2)
    both = design_features(networks.grid(axes=(2,) * 7, seeds=1).levels)
    assert both.shape == (128, 1 + 7 + 21)
    assert np.linalg.matrix_rank(both) == 29
