"""Pairs of configurations that differ only in one axis, and the pairs of their networks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gengap.scoreboard.population import Floats, Ints, Population


@dataclass(frozen=True)
class Neighbours:
    """All pairs along one axis; every unordered pair once.

    Attributes:
        axis: Name of the axis.
        first: Configuration with the smaller level: ``[pairs]``.
        second: The other: ``[pairs]``.
        group: Number of the setting of all other axes: ``[pairs]``.
        left: Row of a network of `first`: ``[network pairs]``.
        right: Row of a network of `second`: ``[network pairs]``.
        pair: Which pair of configurations each pair of networks belongs to, ascending: ``[network pairs]``.
    """

    axis: str
    first: Ints
    second: Ints
    group: Ints
    left: Ints
    right: Ints
    pair: Ints

    def sums(self, values: Floats) -> Floats:
        """Sum over the networks of every pair of configurations: ``[network pairs, ...]`` to ``[pairs, ...]``."""
        starts = np.flatnonzero(np.diff(self.pair, prepend=-1))
        return np.add.reduceat(values, starts, axis=0)


def neighbours(population: Population) -> Iterator[Neighbours]:
    """The pairs of every axis that has any."""
    for at, axis in enumerate(population.axes):
        others = np.delete(population.levels, at, axis=1)
        group = np.unique(others, axis=0, return_inverse=True)[1].reshape(-1)
        first, second = _pairs(group, population.levels[:, at])
        if len(first):
            left, right, pair = _networks(population, first, second)
            yield Neighbours(axis, first, second, group[first], left, right, pair)


def _pairs(group: Ints, level: Ints) -> tuple[Ints, Ints]:
    """Every two configurations of a group."""
    order = np.lexsort((level, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    pairs = [
        order[start + np.stack(np.triu_indices(size, 1))] for start, size in zip(starts, sizes, strict=True) if size > 1
    ]
    joined = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), dtype=np.int64)
    return joined[0], joined[1]


def _networks(population: Population, first: Ints, second: Ints) -> tuple[Ints, Ints, Ints]:
    """Every network of the first with every network of the second configuration."""
    many = population.sizes[first] * population.sizes[second]
    pair = np.repeat(np.arange(len(first)), many)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(many) - many, many)
    width = population.sizes[second][pair]
    left = population.starts[first][pair] + within // width
    right = population.starts[second][pair] + within % width
    return left, right, pair
