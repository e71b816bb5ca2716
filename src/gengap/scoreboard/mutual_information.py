"""Conditional mutual information of the orders of a measure and of the gap (Jiang 2020), and PGDL's score."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gengap.scoreboard.population import Floats, Ints, Population
from gengap.scoreboard.rank_correlation import blocks, per_configuration

MOST = 2000  # configurations: the cost grows with their square
_SIGNS = (-1, 0, 1)
_RESAMPLES = 128  # that are weighted together
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Information:
    """In every resample, for every measure.

    Attributes:
        by_set: Normalised information per conditioning set, the empty tuple first: ``[1 + resamples, measures]``.
        pgdl: PGDL's score times 100: ``[1 + resamples, measures]``; NaN with a single axis.
        configurations: How many were used.
    """

    by_set: dict[tuple[str, ...], Floats]
    pgdl: Floats
    configurations: int

    @property
    def least(self) -> Floats:
        """Jiang's criterion: the smallest over all conditioning sets, ``[1 + resamples, measures]``."""
        least: Floats = np.min(np.stack(list(self.by_set.values())), axis=0)
        return least


def information(population: Population, values: Floats, draws: Floats, seed: int = 0) -> Information:
    """Information that the order of a measure in two networks has about the order of their gaps.

    For all ordered pairs of networks, ``V_m = sign(m_i - m_j)`` and ``V_g = sign(g_i - g_j)``; the condition ``U_S`` is
    the values of the axes of S in both networks. The criterion is ``I(V_m; V_g | U_S) / H(V_g | U_S)``, from counts,
    for every set S of 0, 1 or 2 axes. Ties are a third value of a sign. Counts make the criterion positive even for
    noise, so it needs the random control beside it.

    PGDL's score takes sets of two axes alone, counts a tie as "not larger", compares a network with itself, and gives
    every combination of values the same weight; their 100 x minimum over sets.

    Above 2,000 configurations, as many are drawn at random.

    Args:
        population: The networks.
        values: Measures, ``[n, measures]``.
        draws: ``[1 + resamples, configurations]``.
        seed: Of the configurations that are drawn.

    Source: Jiang et al. (2020), section 4.2 (equations 8 to 10); PGDL: Jiang et al. (2020), NeurIPS competition track.
    """
    if len(population.starts) > MOST:
        chosen = np.sort(np.random.default_rng(seed).choice(len(population.starts), MOST, replace=False))
        rows = np.isin(population.config, chosen)
        values = values[rows]
        population = Population(
            population.table[rows].reset_index(drop=True), population.gap, population.axes, population.measures
        )
        resampled = np.random.default_rng([seed, 1]).multinomial(MOST, np.full(MOST, 1 / MOST), size=len(draws) - 1)
        draws = np.concatenate([np.ones((1, MOST)), resampled])
    sets = [axes for size in (0, 1, 2) for axes in combinations(range(len(population.axes)), size)]
    names = {axes: tuple(population.axes[axis] for axis in axes) for axes in sets}
    shape = (len(draws), values.shape[1])
    by_set = {names[axes]: np.full(shape, np.nan) for axes in sets}
    pgdl = np.full(shape, np.inf if len(population.axes) > 1 else np.nan)
    gap = population.values(population.gap)
    gap_larger = _larger(population, gap, gap)
    for at in range(shape[1]):
        measure = values[:, at]
        counts = _Counts(
            _larger(population, measure, measure),
            gap_larger,
            _both(population, measure, gap),
            _both(population, measure, -gap),
        )
        for axes, tables in _tables(population, counts, draws):
            by_set[names[axes]][:, at] = tables.normalised()
            if len(axes) == 2:
                pgdl[:, at] = np.minimum(pgdl[:, at], 100 * tables.pgdl())
    return Information(by_set, pgdl, len(population.starts))


@dataclass(frozen=True)
class _Counts:
    """Ordered pairs of networks between configurations, ``[configurations, configurations]`` each."""

    measure: Singles  # the first network has the larger measure
    gap: Singles  # the larger gap
    both: Singles  # both
    opposite: Singles  # the larger measure and the smaller gap


@dataclass(frozen=True)
class _Tables:
    """Weighted counts per resample and pair of groups, ``[1 + resamples, groups, groups]`` each.

    Exchanging the groups exchanges the two networks of a pair.
    """

    measure: Floats
    gap: Floats
    both: Floats
    opposite: Floats
    pairs: Floats
    with_self: Floats

    def mapped(self, function: Callable[[Floats], Floats]) -> "_Tables":
        """The same counts after a function of each table."""
        return _Tables(*(function(getattr(self, table.name)) for table in fields(self)))

    def normalised(self) -> Floats:
        """``I / H`` with three signs: ``[1 + resamples]``."""
        joint = {
            (1, 1): self.both,
            (1, -1): self.opposite,
            (1, 0): self.measure - self.both - self.opposite,
            (0, 1): self.gap - self.both - _turned(self.opposite),
        }
        joint |= {(-m, -g): _turned(table) for (m, g), table in joint.items()}
        joint[0, 0] = self.pairs - np.sum(list(joint.values()), axis=0)
        of_measure = [np.sum([joint[m, g] for g in _SIGNS], axis=0) for m in _SIGNS]
        of_gap = [np.sum([joint[m, g] for m in _SIGNS], axis=0) for g in _SIGNS]
        of_pairs = _entropy_sum([self.pairs])
        shared = _entropy_sum(joint.values()) - _entropy_sum(of_measure) - _entropy_sum(of_gap) + of_pairs
        uncertainty = of_pairs - _entropy_sum(of_gap)
        return _ratio(shared.sum(axis=(1, 2)), uncertainty.sum(axis=(1, 2)))

    def pgdl(self) -> Floats:
        """``mean I / mean H`` over pairs of groups, with two signs: ``[1 + resamples]``."""
        both, measure, gap, pairs = self.both, self.measure, self.gap, self.with_self
        joint = [both, measure - both, gap - both, pairs - measure - gap + both]
        of_gap, of_pairs = _entropy_sum([gap, pairs - gap]), _entropy_sum([pairs])
        shared = _entropy_sum(joint) - _entropy_sum([measure, pairs - measure]) - of_gap + of_pairs
        mass = np.where(pairs > 0, pairs, np.inf)  # groups that were not drawn count nothing
        return _ratio((shared / mass).sum(axis=(1, 2)), ((of_pairs - of_gap) / mass).sum(axis=(1, 2)))


def _tables(population: Population, counts: _Counts, draws: Floats) -> Iterator[tuple[tuple[int, ...], _Tables]]:
    """The tables of every set of at most two axes; those of smaller sets are sums over those of the larger."""
    done: set[tuple[int, ...]] = set()
    axes = range(len(population.axes))
    sizes = population.levels.max(axis=0) + 1
    for largest in combinations(axes, min(2, len(axes))):
        shape = tuple(int(sizes[axis]) for axis in largest)
        group = np.ravel_multi_index(tuple(population.levels[:, axis] for axis in largest), shape)
        tables = _grouped(population, counts, draws, group, int(np.prod(shape)))
        for size in range(len(largest) + 1):
            for kept in combinations(largest, size):
                if kept not in done:
                    done.add(kept)
                    places = [largest.index(axis) for axis in kept]
                    yield kept, tables.mapped(functools.partial(_summed, shape=shape, kept=places))


def _summed(table: Floats, *, shape: tuple[int, ...], kept: Sequence[int]) -> Floats:
    """Sum a table over the axes that are not kept, in both networks."""
    n = len(shape)
    split = table.reshape(-1, *shape, *shape)
    gone = [axis for axis in range(n) if axis not in kept]
    summed: Floats = split.sum(axis=tuple([1 + axis for axis in gone] + [1 + n + axis for axis in gone]))
    groups = int(np.prod([shape[axis] for axis in kept]))
    return summed.reshape(-1, groups, groups)


def _grouped(population: Population, counts: _Counts, draws: Floats, group: Ints, groups: int) -> _Tables:
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    small = draws[:, order].astype(np.float32)
    sizes = population.sizes[order].astype(np.float64)
    member = np.zeros((len(group), groups))
    member[np.arange(len(group)), ordered] = 1
    drawn = draws[:, order]
    mass = drawn @ (member * sizes[:, None])
    across = mass[:, :, None] * mass[:, None, :]
    diagonal = np.arange(groups)
    copies = (drawn**2) @ (member * sizes[:, None] ** 2)  # of a configuration with itself
    pairs, with_self = across.copy(), across.copy()
    pairs[:, diagonal, diagonal] += drawn @ (member * (sizes * (sizes - 1))[:, None]) - copies
    with_self[:, diagonal, diagonal] += drawn @ (member * sizes[:, None] ** 2) - copies

    def weighted(matrix: Singles) -> Floats:
        return _weighted(matrix[np.ix_(order, order)], small, drawn, ordered, member)

    both, opposite = weighted(counts.both), weighted(counts.opposite)
    # Without ties in the gap, or in the measure, the larger ones are the sum of both kinds: half of the cost.
    untied = np.array_equal(counts.measure, counts.both + counts.opposite)
    measure = both + opposite if untied else weighted(counts.measure)
    untied = np.array_equal(counts.gap, counts.both + counts.opposite.T)
    gap = both + _turned(opposite) if untied else weighted(counts.gap)
    return _Tables(measure, gap, both, opposite, pairs, with_self)


def _weighted(matrix: Singles, small: Singles, drawn: Floats, ordered: Ints, member: Floats) -> Floats:
    """``sum w_c w_d M_cd`` over c in one group and d in another, the diagonal with w_c once."""
    groups = member.shape[1]
    found = np.zeros((len(small), groups, groups))
    present, starts = np.unique(ordered, return_index=True)
    ends = [*starts[1:], len(ordered)]
    for at in range(0, len(small), _RESAMPLES):  # so that sums of one group stay in the cache
        part = small[at : at + _RESAMPLES]
        sums = np.empty_like(part)
        for group, first, last in zip(present, starts, ends, strict=True):
            np.matmul(part[:, first:last], matrix[first:last], out=sums)
            sums *= part
            found[at : at + _RESAMPLES, group, present] = np.add.reduceat(sums, starts, axis=1)
    diagonal = np.arange(groups)
    found[:, diagonal, diagonal] += (drawn - drawn**2) @ (member * np.diag(matrix)[:, None])
    found[0] = member.T @ matrix.astype(np.float64) @ member
    return found


def _larger(population: Population, rows: Floats, columns: Floats) -> Singles:
    """Pairs of networks of which the first is larger, between configurations."""
    return _assemble(population, lambda networks: rows[networks, None] > columns[None, :])


def _both(population: Population, measure: Floats, gap: Floats) -> Singles:
    """Pairs of networks of which the first is larger in both."""
    return _assemble(
        population, lambda networks: (measure[networks, None] > measure[None, :]) & (gap[networks, None] > gap[None, :])
    )


def _assemble(population: Population, compare: Callable[[slice], NDArray[np.bool_]]) -> Singles:
    parts = []
    for rows in blocks(population, len(population.table)):
        first = population.starts[rows.start]
        networks = slice(first, first + int(population.sizes[rows].sum()))
        parts.append(per_configuration(compare(networks).view(np.int8), population, rows).astype(np.float32))
    return np.concatenate(parts)


def _turned(table: Floats) -> Floats:
    return np.swapaxes(table, 1, 2)


def _entropy_sum(tables: Iterable[Floats]) -> Floats:
    """Sum of ``n log n`` over tables, 0 for no pairs; counts from sums in float32 may be off by their rounding."""
    counts = np.maximum(np.stack(list(tables)), 0.0)
    total: Floats = (counts * np.log(np.where(counts > 0, counts, 1.0))).sum(axis=0)
    return total


def _ratio(shared: Floats, uncertainty: Floats) -> Floats:
    return np.divide(shared, uncertainty, out=np.full_like(shared, np.nan), where=uncertainty > 1e-9)
