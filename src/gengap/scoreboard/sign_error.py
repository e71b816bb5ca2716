"""Sign errors in directed environments: how often a measure ranks two networks wrongly when one thing changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gengap.scoreboard.neighbours import Neighbours
from gengap.scoreboard.population import Floats, Ints, Population

LEAST_SAMPLE = 12.0  # effective pairs of networks; Dziugaite et al. (2020), section 4
QUANTILE = 0.9


@dataclass(frozen=True)
class Environments:
    """Environments with enough pairs above the noise; each stands for both directions.

    Attributes:
        first: One configuration: ``[environments]``.
        second: The other: ``[environments]``.
        axis: Number of the axis that changes: ``[environments]``.
        error: Weighted share of wrongly ordered pairs: ``[environments, measures]``.
        sample: Effective sample size: ``[environments]``.
    """

    first: Ints
    second: Ints
    axis: Ints
    error: Floats
    sample: Floats


def weight(difference: Floats, test_size: int) -> Floats:
    """How surely two gaps differ: 0 up to a probability of one half, then rising to one half.

    Two gaps that were measured on `test_size` samples each and differ by ``d`` are in their true order with probability
    at least ``p = max(0, 1 - 2 exp(-2 n (d / 2)^2))^2`` by Hoeffding's inequality for both; the weight is
    ``max(0, p - 1/2)``. Without a size every pair weighs 1.

    Source: Dziugaite et al. (2020), section 4 and their public code.
    """
    if not test_size:
        return np.ones_like(difference)
    p = np.maximum(0.0, 1 - 2 * np.exp(-2 * test_size * (difference / 2) ** 2)) ** 2
    surely: Floats = np.maximum(0.0, p - 0.5)
    return surely


def environments(
    population: Population, axes: Sequence[Neighbours], values: Floats, least: float = LEAST_SAMPLE
) -> Environments:
    """Find the environments and the measures' errors in them.

    An environment is one change of one axis from a value to another with everything else fixed; its pairs are all
    networks of the one configuration with all of the other. Its error is the weighted mean of
    ``(1 - sign(dm) sign(dg)) / 2``, so a tie counts one half. Environments whose effective sample size
    ``(sum w)^2 / sum w^2`` is below `least` are left out.

    Args:
        population: The networks.
        axes: The pairs of every axis.
        values: Measures, ``[n, measures]``.
        least: Smallest effective sample size.
    """
    gap = population.values(population.gap)
    found: list[tuple[Ints, Ints, Ints, Floats, Floats]] = []
    for pairs in axes:
        difference = gap[pairs.left] - gap[pairs.right]
        weights = weight(np.abs(difference), population.test_size)
        wrong = (1 - np.sign(values[pairs.left] - values[pairs.right]) * np.sign(difference)[:, None]) / 2
        total, squared = pairs.sums(weights), pairs.sums(weights**2)
        sample = np.divide(total**2, squared, out=np.zeros_like(total), where=squared > 0)
        kept = sample >= least * (1 - 1e-9)
        error = pairs.sums(weights[:, None] * wrong)[kept] / total[kept, None]
        number = np.full(int(kept.sum()), population.axes.index(pairs.axis))
        found.append((pairs.first[kept], pairs.second[kept], number, error, sample[kept]))
    if not found:
        none = np.empty(0, dtype=np.int64)
        return Environments(none, none, none, np.empty((0, values.shape[1])), np.empty(0))
    first, second, axis, error, sample = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Environments(first, second, axis, error, sample)


def summary(found: Environments, draws: Floats, axis: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Mean, 90 % quantile and maximum of the errors over environments, in every resample of configurations.

    An environment is drawn as often as its two configurations together, ``w_c w_d`` times.

    Args:
        found: See `environments`.
        draws: ``[1 + resamples, configurations]``.
        axis: Number of an axis, or None for all.

    Returns:
        Three arrays ``[1 + resamples, measures]``; NaN without environments.
    """
    chosen = np.flatnonzero(found.axis == axis) if axis is not None else np.arange(len(found.axis))
    error = found.error[chosen]
    shape = (len(draws), found.error.shape[1])
    if not len(chosen):
        return np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    drawn = draws[:, found.first[chosen]] * draws[:, found.second[chosen]]
    total = drawn.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (drawn @ error) / total[:, None]
    quantile, largest = np.full(shape, np.nan), np.full(shape, np.nan)
    for measure in range(shape[1]):
        order = np.argsort(error[:, measure])
        ordered, reached = error[order, measure], np.cumsum(drawn[:, order], axis=1)
        at = (reached < QUANTILE * total[:, None]).sum(axis=1)
        quantile[:, measure] = ordered[np.minimum(at, len(ordered) - 1)]
        largest[:, measure] = ordered[(reached < total[:, None]).sum(axis=1).clip(max=len(ordered) - 1)]
    quantile[total == 0], largest[total == 0] = np.nan, np.nan
    # Both directions of every environment, interpolated, as the paper's figure has it.
    quantile[0] = np.quantile(np.repeat(error, 2, axis=0), QUANTILE, axis=0)
    return mean, quantile, largest
