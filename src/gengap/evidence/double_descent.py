"""The risk against the size of what is fitted: sizes, the threshold from which everything can be fitted, and peaks."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import SEED, Evidence

SIZES = ("features", "leaves", "trees", "width", "arm")  # axes along which the size changes
NOISES = ("label_noise", "random_share")
KERNEL = "kernel"
FRESH, REUSED, PUBLISHED = "fresh", "reused", "published"  # arms begin with the first two
_STARTS = {
    FRESH: "from new weights",
    REUSED: "from the smaller network",
    PUBLISHED: "from the smaller network up to the threshold, from new weights beyond",
}


def capacities(evidence: Evidence) -> pd.DataFrame:
    """The size of every finished cell, and the one from which its kind can fit any labels.

    Of random features their number N and the number n of images (the kernel has infinitely many); of forests the leaves
    of all trees and those of one tree at most; of networks the parameters and n K, for K classes.

    Returns:
        The cells with the columns ``size``, ``threshold`` and ``group``, the name of all that is not the size.

    Raises:
        UserError: If the study has no sizes.
    """
    cells = evidence.finished.copy()
    if "features" in cells:
        cells["size"] = [math.inf if str(value) == KERNEL else float(value) for value in cells["features"]]
        cells["threshold"] = pd.to_numeric(cells["samples"]).astype(float)
    elif "leaves" in cells:
        leaves = pd.to_numeric(cells["leaves"]).astype(float)
        cells["size"], cells["threshold"] = leaves * pd.to_numeric(cells["trees"]), leaves.max()
    else:
        facts, images = evidence.study["data"], evidence.study["fixed"].get("train_size", "None")
        if not facts or not images.isdigit() or cells["n_parameters"].nunique() < 2:
            raise UserError(
                f"study '{evidence.study['name']}': double descent needs networks of several sizes and one "
                "labels.train_size. Give model.width several values, or remove what shows double descent."
            )
        cells["size"] = cells["n_parameters"].astype(float)
        cells["threshold"] = float(images) * next(iter(facts.values()))["n_classes"]
    return cells.assign(group=[_group(evidence, row) for row in cells.to_dict("records")])


def as_published(evidence: Evidence, cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of the published curve as a group of their own; none if the study has only one of its two halves.

    Args:
        evidence: The study's measurements.
        cells: What `capacities` gives.
    """
    starts = cells["arm"].astype(str).str.rpartition("_")[0] if "arm" in cells else pd.Series(index=cells.index)
    if not {FRESH, REUSED} <= set(starts):
        return cells.iloc[:0]
    others = [cells[axis] for axis in evidence.axes if axis not in (*SIZES, SEED)] or [pd.Series(0, index=cells.index)]
    first = cells["size"] == cells["size"].groupby(others).transform("min")  # from which the reuse begins
    beyond = cells["size"] > cells["size"].where(starts == REUSED).groupby(others).transform("max")
    taken = cells[(starts == REUSED) | ((starts == FRESH) & (first | beyond))]
    renamed = taken.assign(arm=[f"{PUBLISHED}_{size:g}" for size in taken["size"]])
    curve: pd.DataFrame = renamed.assign(group=[_group(evidence, row) for row in renamed.to_dict("records")])
    return curve


def curves(cells: pd.DataFrame, quantity: str) -> Iterator[tuple[str, int, "pd.Series[float]"]]:
    """One quantity against the size, of cells from `capacities`, for every group and seed; finite sizes ascending."""
    for at, part in grouped(cells, ["group", SEED]):
        values = part.set_index("size")[quantity].dropna().sort_index()
        yield str(at["group"]), int(at[SEED]), values[np.isfinite(values.index)]


def peak(curve: "pd.Series[float]", threshold: float) -> dict[str, float]:
    """What a curve over sizes says of a peak.

    Returns:
        ``at``, the value at the size closest to the threshold (on a logarithmic scale); ``below``, the least one at
        less than 0.8 times as much; ``above``, that of the largest size, if it is above 1.25 times as much. NaN where
        there is none.
    """
    sizes = np.asarray(curve.index, dtype=float)
    at = float(curve.iloc[int(np.argmin(np.abs(np.log(sizes / threshold))))])
    below = curve[sizes < 0.8 * threshold]
    above = float(curve.iloc[-1]) if sizes[-1] > 1.25 * threshold else math.nan
    return {"at": at, "below": float(below.min()) if len(below) else math.nan, "above": above}


def _group(evidence: Evidence, row: Mapping[Any, Any]) -> str:
    """The name of all settings that are not the size."""
    words = []
    if "arm" in evidence.axes:
        words.append(_STARTS.get(str(row["arm"]).rsplit("_", 1)[0], str(row["arm"])))
    noise = next((name for name in NOISES if name in evidence.axes), None)
    if noise:
        words.append(f"{100 * float(str(row[noise])):g} % label noise")
    others = [axis for axis in evidence.axes if axis not in (*SIZES, *NOISES)]
    return ", ".join([*words, *(f"{axis.replace('_', ' ')} {row[axis]}" for axis in others)])
