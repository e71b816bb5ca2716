"""Paired comparisons: the same seeds and settings under two values of one axis."""

import math
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from gengap.evidence import resampling
from gengap.evidence.intervals import interval
from gengap.evidence.measurements import Evidence

INIT = "init"


def compared_axis(evidence: Evidence) -> str:
    """The axis to compare along: ``init`` if the study varies it, else its first axis with pairs; empty if none has."""
    axes = sorted(evidence.axes, key=lambda axis: axis != INIT)
    return next((axis for axis in axes if any(len(both) for _, _, both in pairs(evidence, axis))), "")


def pairs(evidence: Evidence, axis: str) -> list[tuple[object, object, pd.DataFrame]]:
    """Pair the cells that agree on every other axis, the seed included.

    Args:
        evidence: The study's measurements.
        axis: The axis along which they differ. Its first value in the grid is the baseline.

    Returns:
        For each other value: the value, the baseline, and a table with the columns ``cell`` and ``baseline``, names
        of cells of any status.
    """
    cells = evidence.cells
    others = [name for name in evidence.study["axes"] if name != axis]
    baseline, *values = cells[axis].unique()
    columns = ["cell", *others]
    first = cells.loc[cells[axis] == baseline, columns].rename(columns={"cell": "baseline"})
    found = []
    for value in values:
        own = cells.loc[cells[axis] == value, columns]
        both = own.merge(first, on=others, validate="1:1") if others else own.merge(first, how="cross")
        found.append((value, baseline, both[["cell", "baseline"]]))
    return found


def effect(differences: Sequence[float]) -> dict[str, float]:
    """What paired differences say about their mean.

    Student's t takes the differences as normal and Wilcoxon's signed ranks as symmetric; differences that are all 0
    have p = 1.

    Args:
        differences: One finite number per pair.

    Returns:
        ``difference``, their mean; ``difference_low`` and ``_high``, the ends of its 95 % confidence interval by
        Student's t; ``bootstrap_low`` and ``_high``, by the percentiles of resampled means; ``largest``, the largest
        absolute difference; ``p_t`` and ``p_wilcoxon``, two-sided; NaN where there are too few pairs.
    """
    x = np.asarray(differences, dtype=float)
    ours, resampled = interval(x), resampling.statistics(x)
    found = {
        "difference": ours.mean,
        "difference_low": ours.of_mean[0],
        "difference_high": ours.of_mean[1],
        "bootstrap_low": resampled["mean_low"],
        "bootstrap_high": resampled["mean_high"],
        "largest": float(np.abs(x).max()) if len(x) else math.nan,
        "p_t": math.nan,
        "p_wilcoxon": math.nan,
    }
    if len(x) > 1:
        with warnings.catch_warnings():  # of equal differences, which have no spread
            warnings.simplefilter("ignore", RuntimeWarning)
            zero = not x.any()
            found["p_t"] = 1.0 if zero else float(stats.ttest_1samp(x, 0.0).pvalue)
            found["p_wilcoxon"] = 1.0 if zero else float(stats.wilcoxon(x).pvalue)
    return found


def holm(p_values: Iterable[float]) -> list[float]:
    """Holm's step-down correction of p-values that were tested together; NaN stay so and are not counted.

    The k-th smallest of m is multiplied by m - k + 1, kept ascending and at most 1; below alpha, the chance of any
    false finding is at most alpha, however the tests depend on one another.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 65.
    """
    p = np.asarray(list(p_values), dtype=float)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return corrected.tolist()
