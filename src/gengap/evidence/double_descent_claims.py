"""Claims on double descent: peaks at the threshold, and a second descent below the first minimum."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from gengap.evidence.double_descent import as_published, capacities, curves, peak
from gengap.evidence.measurements import Evidence

Effect = tuple[str, str, dict[str, Any], pd.Series]
_RISING = {"test_loss": "test loss", "solution_norm": "norm of the solution"}


def effects(evidence: Evidence) -> Iterator[Effect]:
    """Is there a peak at the threshold, and is the largest size better than the best one before it?"""
    if not {"test_loss", "test_error"} <= set(evidence.cells) or not _has_sizes(evidence):
        return
    cells = capacities(evidence)
    cells = pd.concat([cells, as_published(evidence, cells)], ignore_index=True)
    thresholds = cells.groupby("group")["threshold"].first()
    for quantity, words in _RISING.items():
        if quantity not in cells:
            continue
        found = _peaks(cells, quantity, thresholds)
        for group, own in found.items():
            rise, fall = (own["at"].map(math.log10) - own[side].map(_log) for side in ("below", "above"))
            where = {"kind": group} if group else {}
            yield (
                f"the {words} rises up to the threshold",
                f"log10 of {words}, at the threshold over the least below it",
                where,
                rise,
            )
            yield (
                f"the {words} falls beyond the threshold",
                f"log10 of {words}, at the threshold over the largest size",
                where,
                fall,
            )
    for group, own in _peaks(cells, "test_error", thresholds).items():
        where = {"kind": group} if group else {}
        words = "zero-one test error, least below the threshold minus the largest size"
        yield (
            "the largest size does better than the best below the threshold",
            words,
            where,
            own["below"] - own["above"],
        )


def _has_sizes(evidence: Evidence) -> bool:
    """Whether the study is one on double descent: of simulations by their axes, of networks by the names of arms."""
    axes = set(evidence.axes)
    if axes & {"features", "leaves"}:
        return True
    starts = "arm" in axes and all(str(arm).startswith(("fresh_", "reused_")) for arm in evidence.cells["arm"])
    return starts and bool(evidence.cells["n_parameters"].nunique() > 2)


def _peaks(cells: pd.DataFrame, quantity: str, thresholds: "pd.Series[float]") -> dict[str, pd.DataFrame]:
    """What `peak` says, by group: one row per seed."""
    rows: dict[str, dict[int, dict[str, float]]] = {}
    for group, seed, curve in curves(cells, quantity):
        if len(curve):
            rows.setdefault(group, {})[seed] = peak(curve, float(thresholds[group]))
    return {group: pd.DataFrame.from_dict(own, orient="index") for group, own in rows.items()}


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan
