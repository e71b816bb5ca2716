"""Published numbers in figures: where a printed number stands on the horizontal axis, and who printed it."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from gengap.evidence.alternatives import alternatives
from gengap.evidence.figures.drawing import PRINTED
from gengap.evidence.measurements import Evidence

COLUMNS = ["source", "table", "quantity", "cells", "value"]


def printed(evidence: Evidence, quantities: list[str]) -> pd.DataFrame:
    """Printed numbers of some quantities, in the units in which they were printed, once for every group of cells.

    Args:
        evidence: The study's measurements, with the published numbers.
        quantities: Their names.

    Returns:
        Columns ``source``, ``table``, ``quantity``, ``cells`` (the names of those that the number is compared with, as
        a tuple), ``value``. Numbers for which the study has no cells are left out.
    """
    rows: list[dict[str, Any]] = []
    for table in evidence.published:
        for row in table[table["quantity"].isin(quantities)].to_dict("records"):
            found, _ = alternatives(evidence, row["cells"])
            names = tuple(name for one in found for name in one.cells["cell"])
            if names:
                own = {key: row[key] for key in ("source", "table", "quantity")}
                rows.append(own | {"cells": names, "value": float(row["published"])})
    return pd.DataFrame(rows, columns=COLUMNS)


def mark(axes: Axes, x: Any, y: Any, color: str = "black") -> None:
    """Draw printed numbers: open diamonds, in front of everything."""
    axes.plot(x, y, color=color, zorder=4, **PRINTED)


def source(found: pd.DataFrame) -> str:
    """Who printed these numbers, for a legend."""
    return f"printed: {'; '.join(dict.fromkeys(found['source']))}"
