"""Claims on intrinsic dimension: few directions are enough, shuffling needs more, small networks need more still."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gengap.evidence.intrinsic_dimension import SUBSPACE, THRESHOLDS, dimensions, groups, intrinsic_dimensions
from gengap.evidence.measurements import SEED, Evidence

Effect = tuple[str, str, dict[str, Any], pd.Series]
Found = tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]  # settings, cells and intrinsic dimensions of one network
_SHUFFLED = {"pixels": "shuffled pixels", "labels": "random labels"}
_SIZES = 3  # networks from which on sizes are compared
_FEW = 0.1  # share of the weights that counts as few


def effects(evidence: Evidence) -> Iterator[Effect]:
    """Judge what the survey says of random subspaces; sizes are compared as logarithms."""
    if SUBSPACE not in evidence.axes or not {"train_accuracy", "test_accuracy"} <= set(evidence.cells):
        return
    found = [(at, part, intrinsic_dimensions(part)) for at, part in groups(evidence)]
    for at, part, sizes in found:
        share = sizes[list(THRESHOLDS)] / float(part["n_parameters"].max())
        for threshold in share:
            words = f"log10 of {_FEW:g} D over d, {threshold} threshold"
            yield "most directions play no role", words, at, (_FEW / share[threshold]).map(np.log10)
    yield from _shuffled(found)
    if "arm" in evidence.axes:
        yield from _small(evidence)
    else:
        yield from _of_all_sizes(found)


def _shuffled(found: Sequence[Found]) -> Iterator[Effect]:
    """The subspace of shuffled data against that of true data, of arms that differ in that alone."""
    by_arm = {str(at.get("arm", "")): sizes for at, _, sizes in found}
    for arm, sizes in by_arm.items():
        for ending, words in _SHUFFLED.items():
            other = by_arm.get(f"{arm}_{ending}")
            if other is None:
                continue
            for threshold in THRESHOLDS:
                effect = (other[threshold] / sizes[threshold]).map(np.log10)
                claim = f"{words} need a larger subspace"
                yield claim, f"log10 of d over that of true data, {threshold} threshold", {"arm": arm}, effect


def _of_all_sizes(found: Sequence[Found]) -> Iterator[Effect]:
    """The factor between the largest and the smallest network, in weights and in the subspace that they need."""
    if len(found) < _SIZES:
        return
    weights = [float(part["n_parameters"].max()) for _, part, _ in found]
    for threshold in THRESHOLDS:
        sizes = pd.concat([one[threshold] for _, _, one in found], axis="columns")
        factor = sizes.max(axis="columns", skipna=False) / sizes.min(axis="columns", skipna=False)
        effect = np.log10(max(weights) / min(weights)) - factor.map(np.log10)
        words = f"log10 of the factor in weights over that in d, {threshold} threshold"
        yield "the intrinsic dimension hardly depends on the size", words, {"networks": len(found)}, effect


def _small(evidence: Evidence) -> Iterator[Effect]:
    """A small network against the subspace, of as many values or the next fewer, of every larger network."""
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
