"""What training cost, in gradients of the whole training set, and what networks had learned for equal costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap.errors import UserError
from gengap.evidence.measurements import Evidence

COST = "gradient_evaluations"


def with_costs(evidence: Evidence) -> pd.DataFrame:
    """The history with the cost of each row's epoch as column ``cost``: as recorded, else the epochs themselves.

    Raises:
        UserError: If a cell measured the Hessian while training and did not record what that cost.
    """
    history = evidence.history
    recorded = history.loc[history["quantity"] == COST, ["cell", "epoch", "value"]].rename(columns={"value": "cost"})
    silent = set(history.loc[history["quantity"] == "hessian_largest", "cell"]) - set(recorded["cell"])
    if silent:
        raise UserError(
            f"study '{evidence.study['name']}': cell '{min(silent)}' was trained before products of the Hessian were "
            "counted, so its cost is unknown. Remove its pack's files and its entry in .gengap/store, and train again."
        )
    joined = history.merge(recorded, on=["cell", "epoch"], how="left")
    return joined.assign(cost=joined["cost"].fillna(joined["epoch"]))


def common_cost(evidence: Evidence) -> float:
    """The largest cost that every finished cell reached; 0 if none finished.

    Cells that stopped early, having fitted, keep what they learned and do not count.

    Raises:
        UserError: As `with_costs`.
    """
    finished = evidence.finished
    if finished.empty:
        return 0.0
    last = with_costs(evidence).groupby("cell")["cost"].max()
    whole = finished.loc[finished["stopped_by"] == "epochs", "cell"]
    return float(last[whole].min() if len(whole) else last[finished["cell"]].max())


def held(rows: pd.DataFrame, points: Sequence[float] | NDArray[Any]) -> pd.DataFrame:
    """Every cell's value at each cost: that of its last evaluation at or before it; none where there was none yet.

    Args:
        rows: Of `with_costs`.
        points: Costs.

    Returns:
        Columns ``cell``, ``quantity``, ``batchnorm``, ``cost``, ``value``.
    """
    at = np.asarray(points, dtype=float)
    key = ["cell", "quantity", "batchnorm"]
    tables = []
    for values, part in rows.sort_values("cost", kind="stable").groupby(key, sort=False):
        place = np.searchsorted(part["cost"].to_numpy(), at, side="right") - 1
        known = place >= 0
        found = {"cost": at[known], "value": part["value"].to_numpy()[place[known]]}
        tables.append(pd.DataFrame(dict(zip(key, values, strict=True)) | found))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*key, "cost", "value"])
