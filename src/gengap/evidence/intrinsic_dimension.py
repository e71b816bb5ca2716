"""The smallest random subspace in which networks reach a threshold of accuracy (Li et al. 2018)."""

import math
from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import SEED, Evidence

SUBSPACE = "subspace"
ABSOLUTE, SHARE = 0.90, 0.90  # thresholds: an accuracy, and a share of that of the network without a subspace
THRESHOLDS = {"absolute": "accuracy of 90 %", "relative": "90 % of the whole network"}
_RANDOM = "labels"  # ending of arms whose labels are random: there the train accuracy counts


def dimensions(evidence: Evidence) -> pd.DataFrame:
    """The size of every finished cell's subspace, and the accuracy that counts.

    Returns:
        The finished cells with the columns ``d`` (NaN: all weights are trained) and ``accuracy``, of the test set or,
        in arms that end in ``labels``, of the training set.

    Raises:
        UserError: If no cell trains in a subspace.
    """
    cells = evidence.finished.copy()
    if SUBSPACE not in evidence.axes:
        raise UserError(
            f"study '{evidence.study['name']}': intrinsic dimensions need several sizes of subspaces. Give "
            "training.subspace a list of values in `grid`, with null for the whole network."
        )
    cells["d"] = pd.to_numeric(cells[SUBSPACE], errors="coerce")
    arms = cells["arm"] if "arm" in cells else pd.Series("", index=cells.index)
    random = arms.astype(str).str.endswith(_RANDOM)
    return cells.assign(accuracy=cells["test_accuracy"].mask(random, cells["train_accuracy"]))


def groups(evidence: Evidence) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The cells of `dimensions`, one part for all settings but seed and subspace, of parts with subspaces."""
    axes = [axis for axis in evidence.axes if axis != SUBSPACE]
    return [(at, part) for at, part in grouped(dimensions(evidence), axes) if part["d"].notna().any()]


def intrinsic_dimensions(part: pd.DataFrame) -> pd.DataFrame:
    """The smallest size of each seed at which a threshold is reached, NaN where none reaches it.

    A size counts at which the accuracy is first reached, as in the paper; later sizes may fall below again.

    Args:
        part: One of `groups`.

    Returns:
        One row per seed: ``absolute`` and ``relative`` for both of `THRESHOLDS`, and ``baseline``, the accuracy of the
        network whose weights are trained (NaN without one, and ``relative`` with it).
    """
    rows = {}
    for seed, own in part.groupby(SEED):
        whole = own.loc[own["d"].isna(), "accuracy"]
        baseline = float(whole.iloc[0]) if len(whole) else math.nan
        curve = own[own["d"].notna()].sort_values("d")
        needed = {"absolute": ABSOLUTE, "relative": SHARE * baseline}
        reached = {name: curve.loc[curve["accuracy"] >= level, "d"] for name, level in needed.items()}
        rows[seed] = {name: float(found.iloc[0]) if len(found) else math.nan for name, found in reached.items()}
        rows[seed]["baseline"] = baseline
    return pd.DataFrame.from_dict(rows, orient="index")
