"""Resamples of configurations: the networks of one configuration share its luck, so they are drawn together."""

import numpy as np
from numpy.typing import NDArray

from gengap.scoreboard.population import Floats

LEVEL = 0.95


def weights(configurations: int, resamples: int, seed: int = 0) -> Floats:
    """How often each configuration was drawn; row 0 is the sample itself, all ones.

    Returns:
        ``[1 + resamples, configurations]``; the same at every call.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    drawn = np.random.default_rng([seed, configurations]).multinomial(
        configurations, np.full(configurations, 1 / configurations), size=resamples
    )
    return np.concatenate([np.ones((1, configurations)), drawn.astype(np.float64)])


def interval(values: NDArray[np.floating]) -> tuple[Floats, Floats, Floats]:
    """Estimate and 95 % percentile interval of statistics whose row 0 is the sample's.

    Args:
        values: ``[1 + resamples, ...]``; resamples that are not finite are left out.

    Returns:
        Value, lower and upper end: ``[...]`` each, NaN ends where fewer than half of the resamples are finite.
    """
    found = np.asarray(values, dtype=np.float64)
    drawn = np.where(np.isfinite(found[1:]), found[1:], np.nan)
    enough = np.isfinite(drawn).sum(axis=0) > len(drawn) / 2
    filled = np.where(enough, drawn, 0.0)
    low, high = np.nanquantile(filled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    known = enough & np.isfinite(found[0]) & (len(drawn) > 0)
    return found[0], np.where(known, low, np.nan), np.where(known, high, np.nan)


def deviation(values: NDArray[np.floating]) -> Floats:
    """Standard deviation over the finite resamples: ``[...]``."""
    drawn = np.asarray(values[1:], dtype=np.float64)
    spread: Floats = np.nanstd(np.where(np.isfinite(drawn), drawn, np.nan), axis=0, ddof=1)
    return spread
