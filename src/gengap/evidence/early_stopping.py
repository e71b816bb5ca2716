"""Where training would have been stopped: at the lowest test loss."""

import math

import pandas as pd

from gengap.evidence.measurements import Evidence

COLUMNS = ("early_stop_epoch", "early_stop_accuracy")


def early_stops(evidence: Evidence, epochs: float = math.inf) -> pd.DataFrame:
    """The epoch of the lowest recorded test loss, the first of equal ones, and the test accuracy there.

    Args:
        evidence: The study's measurements.
        epochs: How many epochs are looked at, for networks that were trained for longer than others.

    Returns:
        One row per finished cell, by its name: ``early_stop_epoch`` and ``early_stop_accuracy``, a fraction.
    """
    rows = evidence.history[evidence.history["cell"].isin(evidence.finished["cell"])]
    rows = rows[rows["epoch"] <= epochs]
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS), index=pd.Index([], dtype=str, name="cell"), dtype=float)
    wide = rows.pivot_table(index=["cell", "epoch"], columns="quantity", values="value").reset_index()
    best = wide.loc[wide.groupby("cell", sort=False)["test_loss"].idxmin()].set_index("cell")
    return best.rename(columns=dict(zip(("epoch", "test_accuracy"), COLUMNS, strict=True)))[list(COLUMNS)]
