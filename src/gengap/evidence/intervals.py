"""Means over seeds with their intervals; dead and diverged cells are counted apart and never averaged."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gengap.evidence.measurements import Evidence

LEVEL = 0.95
FAILED = ("dead", "diverged")


@dataclass(frozen=True)
class Interval:
    """What n runs say about their mean and about one further run; NaN where n is too small to say it.

    Attributes:
        n: Number of runs.
        mean: Their arithmetic mean.
        min: The smallest.
        max: The largest.
        mean_low: Lower end of the 95 % confidence interval of the mean (Student's t).
        mean_high: Upper end of it.
        next_low: Lower end of the 95 % prediction interval for one further run.
        next_high: Upper end of it.
    """

    n: int
    mean: float
    min: float
    max: float
    mean_low: float
    mean_high: float
    next_low: float
    next_high: float

    def of_next(self, runs: int) -> tuple[float, float]:
        """Ends of the 95 % prediction interval for the mean of `runs` further runs: mean ± t s sqrt(1/runs + 1/n)."""
        scale = math.sqrt((1 / runs + 1 / self.n) / (1 + 1 / self.n)) if self.n else math.nan
        return self.mean - scale * (self.mean - self.next_low), self.mean + scale * (self.next_high - self.mean)


def interval(values: Iterable[float]) -> Interval:
    """Summarise independent runs.

    The half-widths are t s / sqrt(n) for the mean and t s sqrt(1 + 1/n) for one further run, with s the sample
    standard deviation and t Student's quantile for n - 1 degrees of freedom; both take the runs as normal.

    Args:
        values: One finite number per run.
    """
    x = np.asarray(list(values), dtype=float)
    n = len(x)
    if n == 0:
        return Interval(0, *[math.nan] * 7)
    mean = float(x.mean())
    spread = float(stdtrit(n - 1, (1 + LEVEL) / 2) * x.std(ddof=1)) if n > 1 else math.nan
    of_mean, of_next = spread / math.sqrt(n), spread * math.sqrt(1 + 1 / n)
    return Interval(
        n, mean, float(x.min()), float(x.max()), mean - of_mean, mean + of_mean, mean - of_next, mean + of_next
    )


def over_seeds(evidence: Evidence, quantities: Sequence[str]) -> pd.DataFrame:
    """Summarise the final values of every group of cells that differ in their seed alone.

    Returns:
        One row per group and quantity, in the grid's order: the axes, ``quantity``, the fields of `Interval`,
        ``n_dead``, ``n_diverged``, ``n_unmeasured`` and ``left_out``, the names of those cells.
    """
    rows = []
    for values, cells in grouped(evidence.cells, evidence.axes):
        for quantity in quantities:
            rows.append(values | {"quantity": quantity} | summary(cells, quantity))
    return pd.DataFrame(rows)


def summary(cells: pd.DataFrame, quantity: str) -> dict[str, Any]:
    """Summarise one quantity over cells; see `over_seeds`."""
    return {**asdict(interval(usable(cells, quantity))), **left_out(cells, quantity)}


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
    return [(dict(zip(axes, key, strict=True)), part) for key, part in table.groupby(list(axes), sort=False)]
