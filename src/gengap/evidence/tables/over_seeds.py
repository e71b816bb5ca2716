"""Means of final values over the seeds of every group of cells, as several tables show them."""

from collections.abc import Sequence

import pandas as pd

from gengap.evidence.intervals import FAILED, grouped, summary
from gengap.evidence.measurements import Evidence, lacking
from gengap.quantities import QUANTITIES


def over_seeds(evidence: Evidence, quantities: Sequence[str], probe: str) -> pd.DataFrame:
    """Means over the finished seeds with their 95 % confidence intervals, in the units of display.

    Args:
        evidence: The study's measurements.
        quantities: What to show.
        probe: Which probe measures it, for the message.

    Returns:
        One row per group: the axes, ``seeds``, ``dead``, ``stuck``, ``diverged``, and for each quantity its mean,
        ``_low`` and ``_high`` (NaN for a single seed).

    Raises:
        UserError: If a quantity was not measured.
    """
    for quantity in quantities:
        if quantity not in evidence.cells:
            raise lacking(evidence, quantity, probe)
    rows = []
    for values, cells in grouped(evidence.cells, evidence.axes):
        counts = {word: int((cells["status"] == word).sum()) for word in FAILED}
        row = values | {"seeds": len(cells) - sum(counts.values())} | counts
        for quantity in quantities:
            found, scale = summary(cells, quantity), QUANTITIES[quantity].scale
            row |= {quantity: found["mean"] * scale}
            row |= {f"{quantity}_{end}": found[f"mean_{end}"] * scale for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)
