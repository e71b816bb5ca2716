"""Kendall's tau over all networks, and Jiang's granulated psi along every axis."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gengap.scoreboard.neighbours import Neighbours
from gengap.scoreboard.population import Floats, Ints, Population

_ELEMENTS = 2**22  # pairs of networks compared at a time


def tau(population: Population, values: Floats, draws: Floats) -> Floats:
    """Kendall's tau-a over all pairs of networks, in every resample of configurations.

    ``tau = sum of sign(m_i - m_j) sign(g_i - g_j) over all pairs / number of pairs``. A tie counts 0, so a measure with
    few values cannot reach 1. A configuration that was drawn twice gives no pairs with itself beyond its own.

    Args:
        population: The networks.
        values: Measures, ``[n, measures]``.
        draws: ``[1 + resamples, configurations]``, see `resampling.weights`.

    Returns:
        ``[1 + resamples, measures]``.

    Source: Kendall (1938); Jiang et al. (2020), equation 3.
    """
    gap = population.values(population.gap)
    sizes = population.sizes.astype(np.float64)
    small = draws.astype(np.float32)
    total = np.zeros((len(draws), values.shape[1]))
    for rows in blocks(population, len(gap)):
        networks = slice(population.starts[rows.start], population.starts[rows.start] + int(sizes[rows].sum()))
        gap_sign = signs(gap[networks], gap)
        for at in range(values.shape[1]):
            product = gap_sign * signs(values[networks, at], values[:, at])
            concordance = per_configuration(product, population, rows)
            total[:, at] += _quadratic(concordance, rows, draws, small)
    drawn = draws @ sizes
    # Two copies of one configuration are not compared with each other.
    pairs = drawn**2 - (draws**2) @ sizes**2 + draws @ (sizes * (sizes - 1))
    return total / pairs[:, None]


def psi(population: Population, axis: Neighbours, values: Floats, draws: Floats) -> Floats:
    """Jiang's granulated coefficient of one axis: the mean over groups of tau where nothing else changes.

    A group holds the networks that agree on all other axes; its tau is over pairs that differ in the axis. Groups
    count equally, however large they are.

    Args:
        population: The networks.
        axis: Pairs along the axis.
        values: Measures, ``[n, measures]``.
        draws: ``[1 + resamples, configurations]``.

    Returns:
        ``[1 + resamples, measures]``.

    Source: Jiang et al. (2020), equations 4 and 5.
    """
    gap = population.values(population.gap)
    gap_sign = np.sign(gap[axis.left] - gap[axis.right])[:, None]
    concordance = axis.sums(gap_sign * np.sign(values[axis.left] - values[axis.right]))
    compared = axis.sums(np.ones(len(axis.pair)))
    in_group = np.bincount(axis.group, weights=compared)[axis.group]
    drawn = draws[:, axis.first] * draws[:, axis.second] / in_group
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (drawn @ concordance) / (drawn @ compared)[:, None]
    return found


def blocks(population: Population, columns: int) -> Iterator[slice]:
    """Runs of configurations whose networks, times `columns`, fit in memory."""
    ends = population.starts + population.sizes
    start = 0
    while start < len(ends):
        limit = population.starts[start] + max(1, _ELEMENTS // columns)
        end = max(start + 1, int(np.searchsorted(ends, limit, side="right")))
        yield slice(start, end)
        start = end


def signs(rows: Floats, columns: Floats) -> NDArray[np.int8]:
    """``sign(row - column)``: ``[rows, columns]``."""
    greater = rows[:, None] > columns[None, :]
    less = rows[:, None] < columns[None, :]
    return greater.view(np.int8) - less.view(np.int8)


def per_configuration(pairs: NDArray[np.int8], population: Population, rows: slice) -> NDArray[np.float64]:
    """Sums over the networks of configurations: ``[networks of rows, n]`` to ``[rows, configurations]``."""
    if len(population.starts) == len(population.table):
        return pairs.astype(np.float64)
    wide = np.add.reduceat(pairs, population.starts, axis=1, dtype=np.int32)
    starts: Ints = population.starts[rows] - population.starts[rows.start]
    return np.add.reduceat(wide, starts, axis=0, dtype=np.int64).astype(np.float64)


def _quadratic(matrix: Floats, rows: slice, draws: Floats, small: NDArray[np.float32]) -> Floats:
    """``sum w_c w_d M_cd`` over c in rows and all d, the diagonal with w_c in place of w_c squared."""
    at = np.arange(rows.start, rows.stop)
    diagonal = matrix[at - rows.start, at]
    found: Floats = np.einsum("bd,bd->b", small[:, rows] @ matrix.astype(np.float32), small, dtype=np.float64)
    found[0] = matrix.sum()  # the sample itself in full precision
    chosen = draws[:, rows]
    found[1:] += ((chosen - chosen**2) @ diagonal)[1:]
    return found
