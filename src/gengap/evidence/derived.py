"""Final values that follow from others: errors from accuracies, what training minimised from loss and L2 penalty."""

import pandas as pd

PENALTY = "l2_penalty"
INTERPOLATION = "interpolation_epoch"
SPLITS = ("train", "test")


def with_derived(cells: pd.DataFrame, history: pd.DataFrame, measurements: pd.DataFrame) -> pd.DataFrame:
    """Add to a table of cells what need not be measured again.

    Args:
        cells: One row per cell, with the last value of every quantity that was measured.
        history: What was recorded while training, the L2 penalty among it.
        measurements: What the probes measured.

    Returns:
        The table with the columns ``train_error`` and ``test_error`` (1 - accuracy), where accuracies were measured;
        ``interpolation_epoch`` (NaN where it was not reached), where train accuracies were recorded;
        ``l2_penalty``, and ``train_objective`` and ``test_objective`` (loss + penalty), where losses were measured and
        the penalty was recorded at the same epoch (NaN where it was not).
    """
    found = {}
    for split in SPLITS:
        if f"{split}_accuracy" in cells:
            found[f"{split}_error"] = 1 - cells[f"{split}_accuracy"]
    recorded = history[history["quantity"] == "train_accuracy"]
    if len(recorded):
        found[INTERPOLATION] = cells["cell"].map(recorded[recorded["value"] == 1].groupby("cell")["epoch"].min())
    penalties = cells["cell"].map(_last_penalties(history, measurements))
    if penalties.notna().any():
        found[PENALTY] = penalties
        for split in SPLITS:
            if f"{split}_loss" in cells:
                found[f"{split}_objective"] = cells[f"{split}_loss"] + penalties
    return cells.assign(**found)


def _last_penalties(history: pd.DataFrame, measurements: pd.DataFrame) -> "pd.Series[float]":
    """The penalty at the epoch of each cell's final values."""
    whole = measurements[measurements["layer"] == ""]
    last = whole.groupby("cell", as_index=False)["epoch"].max()
    recorded = history[history["quantity"] == PENALTY]
    return recorded.merge(last, on=["cell", "epoch"]).drop_duplicates("cell").set_index("cell")["value"]
