"""Claims on layers that are reset or redrawn (Zhang, Bengio and Singer 2019): one effect per seed."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from gengap.evidence.intervals import grouped
from gengap.evidence.layer_resets import by_layer
from gengap.evidence.measurements import Evidence

ARM, DEPTH = "arm", "depth"
Effect = tuple[str, str, dict[str, Any], pd.Series]  # the claim, what its effect is, the networks, the effect by seed


def effects(evidence: Evidence) -> Iterator[Effect]:
    """What a study with the probe `layer_reset` can judge; nothing for other studies."""
    if "error_rise_after_reset" not in evidence.cells:
        return
    errors = by_layer(evidence)
    # Of several datasets the most classes, whose chance error is the highest: no claim holds for having few.
    chance = 1 - 1 / max((facts["n_classes"] for facts in evidence.study["data"].values()), default=math.inf)
    cells = evidence.finished[evidence.finished["cell"].isin(errors)]
    for at, part in grouped(cells, evidence.axes):
        where = {axis: value for axis, value in at.items() if str(value) != "None"}
        own = [errors[cell] for cell in part["cell"]]
        seeds = part["seed"].to_numpy()
        redrawn = pd.Series([one["redrawn"].min() - (one["own"] + chance) / 2 for one in own], index=seeds)
        words = "test error, least over layers, minus the middle between the network's own and chance"
        yield "redrawing any layer destroys the network", words, where, redrawn
        if len(own[0]["reset"]) < 3:
            continue  # one hidden layer
        first = pd.Series([one["reset"].iloc[0] - one["reset"].iloc[1:-1].mean() for one in own], index=seeds)
        words = "test error, first layer reset minus mean of the other hidden layers reset"
        yield "the first layer matters most", words, where, first
        robust = pd.Series([one["redrawn"].iloc[1:].mean() - one["reset"].iloc[1:].mean() for one in own], index=seeds)
        words = "test error, later layers redrawn minus reset, mean"
        yield "later layers need their first weights, not their training", words, where, robust
    yield from _depths(evidence, cells)


def _depths(evidence: Evidence, cells: pd.DataFrame) -> Iterator[Effect]:
    """Is the deepest network more robust than the shallowest, and by more than a mean over more layers gives?"""
    if DEPTH not in evidence.axes:
        return
    cells = cells.assign(**{DEPTH: pd.to_numeric(cells[DEPTH], errors="coerce")}).dropna(subset=DEPTH)
    for at, part in grouped(cells, [axis for axis in evidence.axes if axis != DEPTH]):
        low, high = part[DEPTH].min(), part[DEPTH].max()
        if low == high:
            continue
        rise = {depth: part[part[DEPTH] == depth].set_index("seed")["error_rise_after_reset"] for depth in (low, high)}
        words = f"rise after a reset, mean over layers, {low:g} minus {high:g} hidden layers"
        yield "deeper networks are more robust", words, at, rise[low] - rise[high]
        total = rise[low] * (low + 1) - rise[high] * (high + 1)
        words = f"the same, sum over layers, {low:g} minus {high:g} hidden layers"
        yield "deeper networks are more robust", words, at, total
