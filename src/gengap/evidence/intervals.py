"""Means over seeds with their intervals; cells that failed are counted apart and never averaged."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit, stdtr, stdtrit

from gengap.evidence.measurements import Evidence
from gengap.quantities import SHARES

LEVEL = 0.95
FAILED = ("dead", "stuck", "diverged")
ROUNDING = 1e-12  # of sums of equal numbers
HALF_A_SAMPLE = 0.5 / 10_000  # how far from 0 or 1 a share of exactly 0 or 1 counts on the logit scale


@dataclass(frozen=True)
class Interval:
    """What n runs say about their mean and about further runs; NaN where n is too small to say it.

    Attributes:
        n: Number of runs.
        mean: Their arithmetic mean.
        min: The smallest.
        max: The largest.
        centre: Their mean on the scale on which they are taken as normal: the logit of shares, else as they are.
        deviation: Their standard deviation on that scale.
        share: Whether they are shares from 0 to 1.
    """

    n: int
    mean: float
    min: float
    max: float
    centre: float
    deviation: float
    share: bool = False

    @property
    def of_mean(self) -> tuple[float, float]:
        """Ends of the 95 % confidence interval of the mean: mean ± t s sqrt(1/n), by Student's t.

        On the logit scale the arithmetic mean of very unequal shares may lie outside; then the interval ends at it.
        """
        low, high = self._ends(0.0)
        return min(low, self.mean), max(high, self.mean)

    def of_next(self, runs: int = 1) -> tuple[float, float]:
        """Ends of the 95 % prediction interval for the mean of `runs` further runs: mean ± t s sqrt(1/runs + 1/n)."""
        return self._ends(1 / runs)

    def probability(self, value: float, runs: int = 1) -> float:
        """Two-sided p-value of a mean of `runs` further runs being as far from ours; NaN for fewer than two runs."""
        if self.n < 2:
            return math.nan
        distance, scale = (
            abs(_forth(value, self.share) - self.centre),
            self.deviation * math.sqrt(1 / runs + 1 / self.n),
        )
        if scale < ROUNDING:  # runs that are all equal
            return 1.0 if distance < ROUNDING else 0.0
        return float(2 * stdtr(self.n - 1, -distance / scale))

    def _ends(self, further: float) -> tuple[float, float]:
        if self.n < 2:
            return math.nan, math.nan
        half = float(stdtrit(self.n - 1, (1 + LEVEL) / 2)) * self.deviation * math.sqrt(further + 1 / self.n)
        return _back(self.centre - half, self.share), _back(self.centre + half, self.share)


def interval(values: Iterable[float], *, share: bool = False) -> Interval:
    """Summarise independent runs.

    The half-widths are t s / sqrt(n) for the mean and t s sqrt(1 + 1/n) for one further run, with s the sample
    standard deviation and t Student's quantile for n - 1 degrees of freedom; both take the runs as normal. Shares are
    taken as normal on the logit scale, so that no interval leaves 0 to 1: there a share of exactly 0 or 1 counts as
    half a sample of 10,000 away from it.

    Args:
        values: One finite number per run.
        share: Whether they are shares from 0 to 1, such as accuracies.
    """
    x = np.asarray(list(values), dtype=float)
    if len(x) == 0:
        return Interval(0, math.nan, math.nan, math.nan, math.nan, math.nan, share)
    y = np.array([_forth(value, share) for value in x])
    deviation = float(y.std(ddof=1)) if len(x) > 1 else math.nan
    return Interval(len(x), float(x.mean()), float(x.min()), float(x.max()), float(y.mean()), deviation, share)


def _forth(value: float, share: bool) -> float:
    """A value on the scale on which runs are taken as normal."""
    return float(logit(HALF_A_SAMPLE + (1 - 2 * HALF_A_SAMPLE) * value)) if share else value


def _back(value: float, share: bool) -> float:
    """The inverse of `_forth`; ends beyond a share of 0 or 1 are 0 or 1."""
    if not share or math.isnan(value):
        return value
    share_of = (expit(value) - HALF_A_SAMPLE) / (1 - 2 * HALF_A_SAMPLE)
    return round(float(np.clip(share_of, 0.0, 1.0)), 12)


def over_seeds(evidence: Evidence, quantities: Sequence[str]) -> pd.DataFrame:
    """Summarise the final values of every group of cells that differ only in their seed.

    Returns:
        One row per group and quantity, in the grid's order: the axes, ``quantity``, ``n``, ``mean``,
        ``min``, ``max``, the ends ``mean_low`` and ``mean_high`` of the 95 % confidence interval of the mean,
        ``n_dead``, ``n_stuck``, ``n_diverged``, ``n_unmeasured`` and ``left_out``, the names of those cells.
    """
    rows = []
    for values, cells in grouped(evidence.cells, evidence.axes):
        for quantity in quantities:
            rows.append(values | {"quantity": quantity} | summary(cells, quantity))
    return pd.DataFrame(rows)


def summary(cells: pd.DataFrame, quantity: str) -> dict[str, Any]:
    """Summarise one quantity over cells; see `over_seeds`."""
    ours = interval(usable(cells, quantity), share=quantity in SHARES)
    low, high = ours.of_mean
    values = {"n": ours.n, "mean": ours.mean, "min": ours.min, "max": ours.max, "mean_low": low, "mean_high": high}
    return values | left_out(cells, quantity)


def usable(cells: pd.DataFrame, quantity: str) -> pd.Series:
    """The final values of the finished cells in which the quantity was measured."""
    column: pd.Series = cells[quantity] if quantity in cells else pd.Series(math.nan, index=cells.index)
    kept: pd.Series = column[(cells["status"] == "finished") & np.isfinite(column)]
    return kept


def left_out(cells: pd.DataFrame, quantity: str) -> dict[str, Any]:
    """Count and name the cells that `usable` leaves out."""
    out = cells.drop(usable(cells, quantity).index)
    why = out["status"].where(out["status"].isin(FAILED), "unmeasured")
    counts = {f"n_{word}": int((why == word).sum()) for word in (*FAILED, "unmeasured")}
    return counts | {"left_out": "; ".join(f"{cell} ({word})" for cell, word in zip(out["cell"], why, strict=True))}


def grouped(table: pd.DataFrame, axes: Sequence[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Split a table by its values on the axes, in the order of appearance; without axes it is one group."""
    if not axes:
        return [({}, table)] if len(table) else []
    return [
        (dict(zip(axes, key, strict=True)), part) for key, part in table.groupby(list(axes), sort=False, dropna=False)
    ]


def failures(cells: pd.DataFrame) -> str:
    """How many cells failed, and how; nothing if none did."""
    counts = {word: int((cells["status"] == word).sum()) for word in FAILED}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
