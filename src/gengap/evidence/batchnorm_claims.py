"""Claims on BatchNorm and the loss landscape (Santurkar et al. 2018): one effect per seed."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence

ARM = "arm"
PLAIN, BATCHNORM, NOISY = "plain", "batchnorm", "noisy"  # arms
QUANTILES = "pre_activation_quantiles"  # 2.5, 16, 50, 84 and 97.5 %
LOG = "log10 of the mean over measured epochs"
# Quantities of a landscape: how a network without BatchNorm is said to differ from one with it.
LANDSCAPE = {
    "loss_range": "the loss varies less along the gradient with BatchNorm",
    "largest_gradient_change": "the gradient changes less along itself with BatchNorm",
    "effective_smoothness": "the effective smoothness is better with BatchNorm",
}
Effect = tuple[str, str, dict[str, Any], pd.Series]  # the claim, what its effect is, the networks, the effect by seed


def effects(evidence: Evidence) -> Iterator[Effect]:
    """What a study with the probe `landscape` and the arms plain, batchnorm and noisy can judge."""
    if "effective_smoothness" not in evidence.cells or ARM not in evidence.axes:
        return
    if not {PLAIN, BATCHNORM} <= set(evidence.cells[ARM]):
        return
    yield from _learning(evidence)
    yield from _stability(evidence)
    values = _values(evidence)
    for at, part in grouped(evidence.finished, [axis for axis in evidence.axes if axis != ARM]):
        arms = {str(arm): own.set_index("cell") for arm, own in part.groupby(ARM, sort=False)}
        by_arm = {arm: values.reindex(own.index).set_index(own["seed"]) for arm, own in arms.items()}
        if PLAIN not in by_arm or BATCHNORM not in by_arm:
            continue  # they learned nothing or diverged
        plain, batchnorm, noisy = by_arm[PLAIN], by_arm[BATCHNORM], by_arm.get(NOISY)
        accuracy = {arm: own.set_index("seed")["test_accuracy"] for arm, own in arms.items() if "test_accuracy" in own}
        for quantity, claim in LANDSCAPE.items():
            yield claim, f"{LOG}, without minus with", at, plain[quantity] - batchnorm[quantity]
        shift = batchnorm["covariate_shift_cosine"] - plain["covariate_shift_cosine"]
        words = "cosine of a layer's gradient before and after the step of those below it, with minus without"
        yield "BatchNorm reduces internal covariate shift", words, at, shift
        if accuracy:
            yield "BatchNorm trains better", "test accuracy, with minus without", at, _minus(accuracy, BATCHNORM, PLAIN)
        if noisy is not None and accuracy:
            words = "test accuracy, noisy BatchNorm minus none"
            yield "noisy BatchNorm still trains better than none", words, at, _minus(accuracy, NOISY, PLAIN)


def _learning(evidence: Evidence) -> Iterator[Effect]:
    """Do networks with BatchNorm learn something where others do not?"""
    for at, part in grouped(evidence.cells, [axis for axis in evidence.axes if axis != ARM]):
        learned = {
            str(arm): (own.set_index("seed")["status"] == "finished").astype(float)
            for arm, own in part.groupby(ARM, sort=False)
        }
        if {PLAIN, BATCHNORM} <= set(learned):
            words = "networks that learn something, 1 or 0, with minus without"
            yield "BatchNorm networks learn where others do not", words, at, _minus(learned, BATCHNORM, PLAIN)


def _stability(evidence: Evidence) -> Iterator[Effect]:
    """Do the inputs of ReLUs keep their place while training?

    A node's movement is the standard deviation of its median input over the snapshots after the start, with the noise
    of training; a network's is the mean over the recorded nodes of all layers, over half the width of the middle 68 %.
    """
    found: dict[str, list[float]] = {}
    for array in evidence.arrays(QUANTILES):
        for cell, rows in array.rows[array.rows["epoch"] > 0].groupby("cell", sort=False):
            values = array.values[rows.index]  # [snapshots, nodes, quantiles]
            spread = (values[..., 3] - values[..., 1]).mean() / 2
            moved = values[..., 2].std(axis=0, ddof=1).mean() if len(values) > 1 else 0.0
            if np.isfinite(values).all() and moved > 0 and spread > 0:
                found.setdefault(str(cell), []).append(float(moved / spread))
    cells = evidence.finished[evidence.finished["cell"].isin(found)]
    for at, part in grouped(cells, [axis for axis in evidence.axes if axis != ARM]):
        moved = {
            str(arm): own.set_index("seed")["cell"].map(lambda cell: math.log10(np.mean(found[cell])))
            for arm, own in part.groupby(ARM, sort=False)
        }
        words = "log10 of the movement of a ReLU's median input"
        if {PLAIN, BATCHNORM} <= set(moved):
            claim = "BatchNorm keeps the inputs of layers in their place"
            yield claim, f"{words}, without minus with", at, _minus(moved, PLAIN, BATCHNORM)
        if {PLAIN, NOISY} <= set(moved):
            claim = "noisy BatchNorm has less stable inputs than none"
            yield claim, f"{words}, noisy minus without", at, _minus(moved, NOISY, PLAIN)


def _minus(values: dict[str, pd.Series], first: str, second: str) -> pd.Series:
    return values[first] - values[second]


def _values(evidence: Evidence) -> pd.DataFrame:
    """Means over the measured epochs after the start, by cell; of the landscape's quantities their log10."""
    rows = evidence.measurements
    rows = rows[(rows["epoch"] > 0) & np.isfinite(rows["value"])]
    mean: pd.DataFrame = rows.groupby(["cell", "quantity"])["value"].mean().unstack()
    mean["loss_range"] = mean["highest_loss_along_gradient"] - mean["lowest_loss_along_gradient"]
    for quantity in LANDSCAPE:
        mean[quantity] = np.log10(mean[quantity])
    return mean[["covariate_shift_cosine", *LANDSCAPE]]
