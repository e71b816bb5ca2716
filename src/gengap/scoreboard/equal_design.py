"""Does a measure say more of the gap than the design does? Its correlation among networks of one configuration.

Networks of one configuration share every axis, so no function of the design, however curved, correlates with their
gaps: this is the one comparison that a proxy of the design cannot win.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtr

from gengap.scoreboard.population import Floats, Population

_SHARED = 20  # configurations: a seed in fewer than these has no mean worth removing
_PASSES = 10
_EXACT = 14  # configurations: up to here all choices of signs are counted


@dataclass(frozen=True)
class EqualDesign:
    """Rank correlations of measures with the gap at equal design.

    Attributes:
        r: In every resample of configurations: ``[1 + resamples, measures]``; 0 for a measure that is constant there.
        p: Two-sided p value: ``[measures]``.
        by_level: Correlation and p value at every level of every axis: columns ``axis``, ``level``, ``n``
            (configurations), ``measure`` (its number), ``r``, ``p``.
        configurations: How many have at least two networks.
        networks: How many networks those have.
    """

    r: Floats
    p: Floats
    by_level: pd.DataFrame
    configurations: int
    networks: int


def equal_design(population: Population, values: Floats, draws: Floats) -> EqualDesign:
    """Correlate measures and gap among networks of one configuration.

    Both are ranked within the configuration and scaled to unit variance. Seeds that many configurations share lose
    their mean, so that a lucky seed does not pass for an explanation. The columns of ``population.equal`` are regressed
    out of both, as polynomials of degree 3 of their ranks. What is left is correlated over all networks. The p value
    takes configurations as independent and nothing else: it is that of their sums of products, see `_p`.

    Args:
        population: The networks.
        values: Measures, ``[n, measures]``.
        draws: ``[1 + resamples, configurations]``.
    """
    usable = population.sizes[population.config] > 1
    ranked = _centred(population, np.column_stack([population.values(population.gap), values]), usable)
    if population.equal:
        basis = _centred(population, _polynomials(population), usable, rank=False)
        ranked = ranked - basis @ np.linalg.lstsq(basis, ranked, rcond=None)[0]
        ranked[np.abs(ranked) < 1e-9] = 0.0
    gap, others = ranked[:, :1], ranked[:, 1:]
    starts = population.starts
    products = np.add.reduceat(gap * others, starts, axis=0)
    squares = np.add.reduceat(others**2, starts, axis=0)
    gap_squares = np.add.reduceat(gap**2, starts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (draws @ products) / np.sqrt((draws @ squares) * (draws @ gap_squares))
    r = np.where(np.isfinite(r), r, 0.0)
    many = population.sizes > 1
    levels = [_level(population, axis, products, squares, gap_squares, many) for axis in range(len(population.axes))]
    return EqualDesign(r, _p(products[many]), pd.concat(levels, ignore_index=True), int(many.sum()), int(usable.sum()))


def _centred(population: Population, columns: Floats, usable: np.ndarray, *, rank: bool = True) -> Floats:
    """Ranks within configurations with unit variance; neither configuration nor shared seed has a mean left."""
    frame = pd.DataFrame(columns)
    if rank:
        frame = frame.groupby(population.config).rank()
    sizes = population.sizes[population.config].astype(np.float64)
    scaled = frame.to_numpy(dtype=np.float64) / (np.sqrt((sizes**2 - 1 + (sizes == 1)) / 12)[:, None] if rank else 1.0)
    scaled[~usable] = 0.0
    seeds = _shared_seeds(population, usable)
    for _ in range(_PASSES):
        scaled = scaled - _means(scaled, population.config, usable)
        if seeds is None:
            break
        means = _means(scaled, seeds, usable & (seeds >= 0))
        scaled = scaled - means
        if np.abs(means).max(initial=0.0) < 1e-12:
            break
    return np.where(np.abs(scaled) < 1e-9, 0.0, scaled)


def _means(values: Floats, group: np.ndarray, chosen: np.ndarray) -> Floats:
    """Mean of its group for every chosen row, 0 for the others: ``[n, columns]``."""
    number = np.where(chosen, group, 0)
    counts = np.bincount(number, weights=chosen.astype(np.float64))
    sums = np.stack([np.bincount(number, weights=column * chosen) for column in values.T], axis=1)
    means: Floats = (sums / np.maximum(counts, 1)[:, None])[number] * chosen[:, None]
    return means


def _shared_seeds(population: Population, usable: np.ndarray) -> np.ndarray | None:
    """Number of every network's seed, -1 where few configurations share it; None if no seed is shared."""
    if not population.seed:
        return None
    codes, _ = pd.factorize(population.table[population.seed])
    shared = np.bincount(codes[usable], minlength=codes.max() + 1) >= _SHARED
    return np.where(shared[codes], codes, -1) if shared.any() else None


def _polynomials(population: Population) -> Floats:
    """Ranks of the columns to hold equal, over all networks in [-1, 1] and within configurations, to the power 3."""
    columns = []
    for name in population.equal:
        value = pd.Series(population.values(name))
        overall = (value.rank() / len(value) * 2 - 1).to_numpy()
        within = value.groupby(population.config).rank(pct=True).to_numpy() * 2 - 1
        columns += [overall, overall**2, overall**3, within, within**2, within**3]
    return np.column_stack(columns)


def _level(
    population: Population, axis: int, products: Floats, squares: Floats, gap_squares: Floats, many: np.ndarray
) -> pd.DataFrame:
    rows = []
    level = population.levels[:, axis]
    names = np.unique(population.table[population.axes[axis]].to_numpy())
    for number, name in enumerate(names):
        chosen = (level == number) & many
        with np.errstate(invalid="ignore", divide="ignore"):
            r = products[chosen].sum(axis=0) / np.sqrt(squares[chosen].sum(axis=0) * gap_squares[chosen].sum(axis=0))
        p = _p(products[chosen])
        rows += [
            (population.axes[axis], name, int(chosen.sum()), measure, r[measure], p[measure])
            for measure in range(products.shape[1])
        ]
    return pd.DataFrame(rows, columns=["axis", "level", "n", "measure", "r", "p"])


def _p(products: Floats) -> Floats:
    """Two-sided p value that configurations' sums of products are as likely of one sign as of the other.

    Exact for few configurations: the share of all choices of signs that give a sum as large. Student's t for many.
    """
    n = len(products)
    if n <= _EXACT:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))[
            : 2 ** max(n - 1, 0)
        ]  # half of them: symmetric
        sums, seen = np.abs(signs @ products), np.abs(products.sum(axis=0))
        exact: Floats = (sums >= seen * (1 - 1e-9)).mean(axis=0)
        return exact
    mean, spread = products.mean(axis=0), products.std(axis=0, ddof=1)
    t = np.divide(mean, spread / np.sqrt(n), out=np.zeros(len(mean)), where=spread > 0)
    p: Floats = 2 * stdtr(n - 1, -np.abs(t))
    # Equal sums have no spread, and are no accident unless they are 0.
    return np.where((spread <= 1e-12 * np.abs(mean)) & (mean != 0), 2.0 ** (1 - n), np.maximum(p, 2.0 ** (1 - n)))


@functools.cache
def _signs(n: int) -> Floats:
    """All choices of signs whose first is positive; the others are their mirror images: ``[choices, n]``."""
    return np.array([(1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=n - 1)] if n else [()])
