"""Paired comparisons: the same seeds and settings under two values of one axis, the seeds as blocks."""

import math
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from gengap.errors import UserError, enumerated
from gengap.evidence import resampling
from gengap.evidence.intervals import ROUNDING, interval
from gengap.evidence.measurements import SEED, Evidence


def compared_axis(evidence: Evidence, named: str | None) -> str:
    """The axis to compare along: the one that the study names, or the only one along which cells are pairs.

    Raises:
        UserError: If none has pairs, several have and none is named, or the named one has none.
    """
    study, axes = evidence.study["name"], [axis for axis in evidence.axes if _has_pairs(evidence, axis)]
    if not axes:
        raise UserError(
            f"study '{study}': no two cells differ in only one axis (the seed left out). Give an axis of `grid` "
            "several values, such as init: [he, xavier], or remove 'paired_effects' from `tables`."
        )
    if named is not None and named not in axes:
        raise UserError(
            f"study '{study}': tables: paired_effects: axis: no two cells differ in '{named}' only. "
            f"Choose from: {', '.join(axes)}."
        )
    if named is None and len(axes) > 1:
        raise UserError(
            f"study '{study}': tables: paired_effects: cells differ along {enumerated(axes)}. Say along which to "
            f"compare: {{name: paired_effects, axis: {axes[0]}}}."
        )
    return named or axes[0]


def _has_pairs(evidence: Evidence, axis: str) -> bool:
    return any(len(both) for _, _, both in pairs(evidence, axis))


def pairs(evidence: Evidence, axis: str) -> list[tuple[object, object, pd.DataFrame]]:
    """Pair the cells that agree on every other axis, the seed included.

    Args:
        evidence: The study's measurements.
        axis: The axis along which they differ. Its first value in the grid is the baseline.

    Returns:
        For each other value: the value, the baseline, and a table with the columns ``cell`` and ``baseline``, names
        of cells, of whatever status, and the axes on which they agree.
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
        found.append((value, baseline, both[["cell", "baseline", *others]]))
    return found


def by_seed(differences: pd.DataFrame) -> list[float]:
    """One difference per seed: its mean over the other settings, which share the seed and are no independent runs.

    Where a setting lacks a seed, as after a failed run, the other seeds' mean of that setting is taken for its level:
    a seed's value is the grand mean over settings plus the mean of its deviations from the settings' means. Without
    missing pairs that is its plain mean.

    Args:
        differences: Column ``difference`` and one per axis on which the pairs agree; one row per pair.

    Returns:
        One number per seed; one in all for a study without the axis ``seed``.
    """
    if differences.empty:
        return []
    settings = [name for name in differences if name not in ("difference", SEED)]
    values = differences["difference"]
    means = values.groupby([differences[name] for name in settings]).transform("mean") if settings else values * 0
    levels = means[~differences.duplicated(settings)].mean() if settings else 0.0
    seeds = differences[SEED] if SEED in differences else np.zeros(len(differences))
    return [float(one) + float(levels) for one in (values - means).groupby(seeds).mean()]


def interaction(differences: pd.DataFrame, axis: str) -> float:
    """Whether the effect depends on another axis: p-value of an analysis of variance with the seeds as blocks.

    With d the mean difference of a seed at a value of the axis, over all other axes, the variation between values is
    compared with what is left after the means of values and of seeds, ``F = MS_values / MS_rest`` with K - 1 and
    (K - 1)(S - 1) degrees of freedom; for two values that is the paired t test. Only seeds that have every value count.

    Source: Fisher (1935), The Design of Experiments, randomised blocks.

    Args:
        differences: As in `by_seed`.
        axis: One of its columns.

    Returns:
        NaN for fewer than two values or two seeds; 1 where nothing varies.
    """
    if SEED not in differences or differences.empty:
        return math.nan
    table = differences.pivot_table(index=SEED, columns=axis, values="difference", aggfunc="mean", observed=True)
    d = table.dropna().to_numpy()
    n_seeds, n_values = d.shape
    if n_seeds < 2 or n_values < 2:
        return math.nan
    between = n_seeds * np.square(d.mean(axis=0) - d.mean()).sum() / (n_values - 1)
    rest = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
    left = np.square(rest).sum() / ((n_values - 1) * (n_seeds - 1))
    scale = np.square(d).max() * ROUNDING
    if between <= scale:
        return 1.0
    return 0.0 if left <= scale else float(stats.f.sf(between / left, n_values - 1, (n_values - 1) * (n_seeds - 1)))


def effect(differences: Sequence[float]) -> dict[str, float]:
    """What paired differences say about their mean.

    Student's t takes the differences as normal and Wilcoxon's signed ranks as symmetric; differences that are all 0
    have p = 1.

    Args:
        differences: One finite number per seed.

    Returns:
        ``difference``, their mean; ``difference_low`` and ``_high``, the ends of its 95 % confidence interval by
        Student's t; ``bootstrap_low`` and ``_high``, by the percentiles of resampled means; ``largest``, the largest
        absolute difference; ``p_t`` and ``p_wilcoxon``, two-sided; NaN where there are too few seeds.
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
