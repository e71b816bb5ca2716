"""What a measure adds to a prediction of the gap from the design alone, for configurations that were not fitted."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from gengap.scoreboard.population import Floats, Ints, Population

FOLDS = 5
_RIDGE = 1e-2  # of a feature's variance: keeps sparse combinations of levels solvable


@dataclass(frozen=True)
class Increment:
    """Out-of-fold shares of the variance of the gap's ranks.

    Attributes:
        gain: What each measure adds, ``[1 + resamples, measures]``; negative if it hurts.
        design: Share that the design alone predicts, ``[1 + resamples]``.
        prediction: Of the design alone, out of fold: ``[n]``, in ranks between -1 and 1.
        features: How many the design gave.
    """

    gain: Floats
    design: Floats
    prediction: Floats
    features: int


def increment(population: Population, values: Floats, draws: Floats, seed: int = 0) -> Increment:
    """Compare two predictors, refitted in every resample and fold: one of the design, one of design and measure.

    The design's features are the levels of every axis and of every two axes, by ridge regression; with fewer than
    three configurations per feature, the levels of single axes alone. Gap and measure enter as ranks, so that a
    transformation of the measure changes nothing. Folds are whole configurations, and all copies of a configuration in
    a resample are in one fold. A measure can gain here by standing for what the features leave out of the design, so
    this is no proof against proxies: see `equal_design`.

    Args:
        population: The networks.
        values: Measures, ``[n, measures]``.
        draws: ``[1 + resamples, configurations]``.
        seed: Of the folds.
    """
    features = design_features(population.levels)
    configurations = len(population.starts)
    fold = np.random.default_rng(seed).permutation(np.arange(configurations) % FOLDS)
    ranks = _ranks(np.column_stack([population.values(population.gap), values]))
    sums = np.add.reduceat(ranks, population.starts, axis=0)
    squares = np.add.reduceat(ranks**2, population.starts, axis=0)
    crossed = np.add.reduceat(ranks[:, :1] * ranks, population.starts, axis=0)
    sizes = population.sizes.astype(np.float64)
    errors = np.zeros((len(draws), values.shape[1] + 1))
    total = np.zeros(len(draws))
    predicted = np.zeros(configurations)
    members = [np.flatnonzero(fold == one) for one in range(FOLDS)]
    held = [tuple(part[chosen] for part in (features, sizes, sums, squares, crossed)) for chosen in members]
    for row, drawn in enumerate(draws):
        parts = [_gram(drawn[chosen], *one) for chosen, one in zip(members, held, strict=True)]
        whole = [sum(part[at] for part in parts) for at in range(4)]
        for chosen, test in zip(members, parts, strict=True):
            train = [everything - part for everything, part in zip(whole, test, strict=True)]
            coefficients, added = _fit(*train)
            errors[row] += _errors(*test, coefficients, added)
            if row == 0:
                predicted[chosen] = features[chosen] @ coefficients[:, 0]
        mass = drawn @ sizes
        total[row] = drawn @ squares[:, 0] - (drawn @ sums[:, 0]) ** 2 / mass
    design = 1 - errors[:, 0] / total
    gain = (errors[:, :1] - errors[:, 1:]) / total[:, None]
    return Increment(gain, design, predicted[population.config], features.shape[1])


def design_features(levels: Ints) -> Floats:
    """A constant, the levels of every axis and of every two axes as 0 and 1: ``[configurations, features]``."""
    single = [_indicators(levels[:, axis]) for axis in range(levels.shape[1])]
    crossed = [
        (single[first][:, :, None] * single[other][:, None, :]).reshape(len(levels), -1)
        for first, other in combinations(range(levels.shape[1]), 2)
    ]
    constant = np.ones((len(levels), 1))
    full = np.concatenate([constant, *single, *crossed], axis=1)
    full = full[:, full.any(axis=0)]
    return full if 3 * full.shape[1] <= len(levels) else np.concatenate([constant, *single], axis=1)


def _indicators(level: Ints) -> Floats:
    """Every level but the first: ``[configurations, levels - 1]``."""
    found: Floats = (level[:, None] == np.arange(1, level.max() + 1)).astype(np.float64)
    return found


def _ranks(columns: Floats) -> Floats:
    """Ranks over all networks, in [-1, 1]."""
    ranks: Floats = pd.DataFrame(columns).rank().to_numpy(dtype=np.float64)
    scaled: Floats = (2 * ranks - 1) / len(columns) - 1
    return scaled


def _gram(
    drawn: Floats, features: Floats, sizes: Floats, sums: Floats, squares: Floats, crossed: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Products of the features, of features and columns, of each column with itself and with the gap."""
    weighted = features * drawn[:, None]
    return (weighted * sizes[:, None]).T @ features, weighted.T @ sums, drawn @ squares, drawn @ crossed


def _fit(gram: Floats, projected: Floats, squares: Floats, crossed: Floats) -> tuple[Floats, Floats]:
    """Coefficients of gap and measures on the design, and of the gap's rest on each measure's rest."""
    ridge = _RIDGE * np.maximum(np.diag(gram), 1.0)
    ridge[0] = 0.0
    coefficients = np.linalg.solve(gram + np.diag(ridge), projected).astype(np.float64)
    rest = _rest(gram, projected, squares, coefficients)
    shared = _shared(gram, projected, crossed, coefficients)
    usable = rest[1:] > 1e-9 * np.maximum(squares[1:], 1e-300)  # a function of the features adds nothing
    return coefficients, np.divide(shared[1:], rest[1:], out=np.zeros(len(rest) - 1), where=usable)


def _rest(gram: Floats, projected: Floats, squares: Floats, coefficients: Floats) -> Floats:
    """Squared rest of each column."""
    explained = (coefficients * (gram @ coefficients)).sum(axis=0)
    rest: Floats = squares - 2 * (coefficients * projected).sum(axis=0) + explained
    return rest


def _shared(gram: Floats, projected: Floats, crossed: Floats, coefficients: Floats) -> Floats:
    """Products of the gap's rest with each column's rest."""
    gap = coefficients[:, 0]
    shared: Floats = crossed - coefficients.T @ projected[:, 0] - projected.T @ gap + coefficients.T @ (gram @ gap)
    return shared


def _errors(
    gram: Floats, projected: Floats, squares: Floats, crossed: Floats, coefficients: Floats, added: Floats
) -> Floats:
    """Squared errors without and with each measure, of what was not fitted."""
    rest = _rest(gram, projected, squares, coefficients)
    shared = _shared(gram, projected, crossed, coefficients)[1:]
    return np.concatenate([rest[:1], rest[0] - 2 * added * shared + added**2 * rest[1:]])
