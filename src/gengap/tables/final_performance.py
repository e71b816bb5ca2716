"""Final accuracies and losses of every group of cells, over seeds (Song 2019, Table 4.1)."""

import pandas as pd

from gengap.analysis.evidence import Evidence, lacking
from gengap.analysis.intervals import FAILED, grouped, summary
from gengap.quantities import QUANTITIES

SHOWN = tuple(
    f"{split}_{measure}" for measure in ("accuracy", "balanced_accuracy", "loss") for split in ("train", "test")
)


def table(evidence: Evidence) -> pd.DataFrame:
    """Means over the finished seeds with their 95 % confidence intervals.

    Returns:
        One row per group: the axes, ``seeds``, ``dead``, ``diverged``, and for each accuracy [%] and loss its mean,
        ``_low`` and ``_high`` (NaN for a single seed).

    Raises:
        UserError: If the study lacks the probe ``performance``.
    """
    for quantity in SHOWN:
        if quantity not in evidence.cells:
            raise lacking(evidence, quantity, "performance")
    rows = []
    for values, cells in grouped(evidence.cells, evidence.axes):
        counts = {word: int((cells["status"] == word).sum()) for word in FAILED}
        row = values | {"seeds": len(cells) - sum(counts.values())} | counts
        for quantity in SHOWN:
            found, scale = summary(cells, quantity), QUANTITIES[quantity].scale
            row |= {quantity: found["mean"] * scale}
            row |= {f"{quantity}_{end}": found[f"mean_{end}"] * scale for end in ("low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)
