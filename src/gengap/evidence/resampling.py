"""Intervals by resampling, for statistics and distributions to which Student's t does not apply."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gengap.evidence.intervals import LEVEL

_RESAMPLES = 1000
STATISTICS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "median": np.median,
    "variance": lambda values, axis: np.var(values, axis=axis, ddof=1),
}


def statistics(values: Iterable[float]) -> dict[str, float]:
    """Mean, median and variance of independent draws, each with its 95 % percentile bootstrap interval.

    The interval is honest for many draws of finite variance; with tails as heavy as those of a ratio of gradients at
    width 1, whose mean need not exist, those of mean and variance say only how much they jump, and the median is what
    to read. The resamples are the same at every call.

    Args:
        values: One finite number per draw.

    Returns:
        ``{statistic}``, ``{statistic}_low`` and ``{statistic}_high``; NaN ends for a single draw, all NaN for none.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    x = np.asarray(list(values), dtype=float)
    found: dict[str, float] = {}
    resampled = x[np.random.default_rng(0).integers(len(x), size=(_RESAMPLES, len(x)))] if len(x) > 1 else None
    for name, statistic in STATISTICS.items():
        enough = len(x) > (name == "variance")
        found[name] = float(statistic(x, axis=0)) if enough else np.nan
        several = [np.nan] if resampled is None else statistic(resampled, axis=1)
        for end, level in (("low", (1 - LEVEL) / 2), ("high", (1 + LEVEL) / 2)):
            found[f"{name}_{end}"] = float(np.quantile(several, level))
    return found
