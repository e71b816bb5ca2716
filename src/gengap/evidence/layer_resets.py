"""Test errors after one layer's reset, from the probe `layer_reset`."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap.evidence.measurements import Evidence, measured

COLUMNS = ["cell", "epoch", "layer", "batchnorm", "reset", "value"]


def resets(evidence: Evidence) -> pd.DataFrame:
    """One row per cell, measured epoch, layer, and epoch of the reset as a float; ``value`` is the test error."""
    epochs: dict[tuple[str, float], NDArray[Any]] = {}
    for array in evidence.arrays("reset_epoch"):
        epochs |= dict(zip(array.rows.itertuples(index=False, name=None), array.values, strict=True))
    rows = [
        (cell, epoch, array.layer, array.batchnorm, float(to), float(value))
        for array in evidence.arrays("test_error_after_reset")
        for (cell, epoch), values in zip(array.rows.itertuples(index=False, name=None), array.values, strict=True)
        for to, value in zip(epochs[cell, epoch], values, strict=True)
        if not np.isnan(value)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def untouched(evidence: Evidence, found: pd.DataFrame) -> pd.DataFrame:
    """The networks' own test error: the mean after resets to epoch 0, less the rise that they cause.

    Args:
        evidence: The study's measurements.
        found: What `resets` gives.

    Returns:
        Columns ``cell``, ``epoch``, ``batchnorm``, ``value``.
    """
    key = ["cell", "epoch", "batchnorm"]
    start = found[found["reset"] == 0].groupby(key)["value"].mean()
    rise = measured(evidence, "error_rise_after_reset", "layer_reset").set_index(key)["value"]
    return (start - rise).dropna().rename("value").reset_index()


def by_layer(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """Test errors of every cell at its last measured epoch.

    Returns:
        By cell, its ``own`` test error; and that with a layer ``reset`` to epoch 0 or ``redrawn``, by layer from input
        to output.
    """
    fresh = measured(evidence, "test_error_after_rerandomization", "layer_reset")
    found = resets(evidence)
    own = untouched(evidence, found).set_index(["cell", "epoch"])["value"]
    errors = {}
    for cell, rows in found[found["reset"] == 0].groupby("cell", sort=False):
        last = rows["epoch"].max()
        redrawn = fresh[(fresh["cell"] == cell) & (fresh["epoch"] == last)].set_index("layer")["value"]
        reset = rows[rows["epoch"] == last].set_index("layer")["value"]
        errors[str(cell)] = {"own": float(own[cell, last]), "reset": reset, "redrawn": redrawn.reindex(reset.index)}
    return errors
