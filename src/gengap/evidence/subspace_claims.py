"""Claims on intrinsic dimension: few directions are enough, shuffling needs more, small networks need more still."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gengap.evidence.intrinsic_dimension import SUBSPACE, dimensions, groups, intrinsic_dimensions
from gengap.evidence.measurements import SEED, Evidence

Effect = tuple[str, str, dict[str, Any], pd.Series]
_SHUFFLED = {"pixels": "shuffled pixels", "labels": "random labels"}
_FEW = 0.1  # share of the weights that counts as few


def effects(evidence: Evidence) -> Iterator[Effect]:
    """Judge what the survey says of random subspaces; sizes are compared as logarithms."""
    if SUBSPACE not in evidence.axes or not {"train_accuracy", "test_accuracy"} <= set(evidence.cells):
        return
    found = {str(at.get("arm", "")): (part, intrinsic_dimensions(part)) for at, part in groups(evidence)}
    for arm, (part, sizes) in found.items():
        share = sizes[["absolute", "relative"]] / float(part["n_parameters"].max())
        for threshold in share:
            words = f"log10 of {_FEW:g} D over d, {threshold} threshold"
            yield "most directions play no role", words, _where(arm), (_FEW / share[threshold]).map(np.log10)
    for arm, (_, sizes) in found.items():
        for ending, words in _SHUFFLED.items():
            other = found.get(f"{arm}_{ending}")
            if other is None:
                continue
            for threshold in ("absolute", "relative"):
                effect = (other[1][threshold] / sizes[threshold]).map(np.log10)
                claim = f"{words} need a larger subspace"
                yield claim, f"log10 of d over that of true data, {threshold} threshold", _where(arm), effect
    yield from _small(evidence)


def _small(evidence: Evidence) -> Iterator[Effect]:
    """A small network against the subspace, of as many values or the next fewer, of every larger network."""
    if "arm" not in evidence.axes:
        return
    cells = dimensions(evidence)
    small = cells[cells["arm"].astype(str).str.startswith("small")]
    for at, part in groups(evidence):
        arm = str(at["arm"])
        if any(arm.endswith(f"_{ending}") for ending in _SHUFFLED):
            continue
        for name, own in small.groupby("arm", sort=False):
            fewer = part[part["d"] <= own["n_parameters"].max()]
            if fewer.empty:
                continue
            best = fewer[fewer["d"] == fewer["d"].max()].set_index(SEED)["accuracy"]
            where = {"arm": arm, "small": name, "values": int(own["n_parameters"].max()), "d": int(fewer["d"].max())}
            words = "accuracy, subspace minus small network of as many values or more"
            yield "a subspace beats a small network", words, where, best - own.set_index(SEED)["accuracy"]


def _where(arm: str) -> dict[str, Any]:
    return {"arm": arm} if arm else {}
