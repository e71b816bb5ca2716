"""Claims on random labels and images (Zhang et al. 2017, Arpit et al. 2017): one effect per seed or start."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from gengap.evidence.derived import INTERPOLATION
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence
from gengap.evidence.random_data import LABELS, TRUE, WHOLE, with_data
from gengap.evidence.sample_errors import LEARNING, starts, staying

FITTED = 0.01  # train error below which a network fits its data
Effect = tuple[str, str, dict[str, Any], pd.Series]  # the claim, what its effect is, the networks, the effect by seed


def effects(evidence: Evidence) -> Iterator[Effect]:
    """What a study of random data can judge; nothing for other studies."""
    if LABELS not in evidence.axes:
        return
    if {INTERPOLATION, "test_error"} <= set(evidence.cells):
        yield from _fitting(evidence)
    if "example_error_mean" in evidence.cells:
        yield from _first_epoch(evidence)
        yield from _staying(evidence)


def _fitting(evidence: Evidence) -> Iterator[Effect]:
    """Are all data fitted, does it take longer, and what does it cost on the test set?"""
    cells = with_data(evidence)
    cells = cells[cells["status"].isin(LEARNING)]  # one that learned nothing fitted nothing
    for at, part in grouped(cells, ["network"]):
        by_data = {str(data): own.set_index("seed") for data, own in part.groupby("data", sort=False)}
        true = by_data.pop(TRUE, None)
        if true is None:
            continue
        for data, own in by_data.items():
            where = {**at, "data": data}
            if (own["share"] == 1).all():
                yield "random data are fitted", f"{FITTED:g} minus train error", where, FITTED - own["train_error"]
            if not true[INTERPOLATION].isna().all():
                # A network that never gets there took at least the epochs that it was trained.
                took = own[INTERPOLATION].fillna(own["epochs_trained"])
                words = f"epochs to interpolation, at least, minus those on {TRUE}"
                yield "noise slows fitting", words, where, took - true[INTERPOLATION]
            if own["kind"].iloc[0] == WHOLE["random_labels"]:
                finished, of_true = (one.loc[one["status"] == "finished", "test_error"] for one in (own, true))
                rise = finished - of_true
                yield "random labels raise the test error", f"test error minus that on {TRUE}", where, rise


def _first_epoch(evidence: Evidence) -> Iterator[Effect]:
    """Are some samples learned first, and more so on true data?"""
    seeds = evidence.cells.set_index("cell")["seed"]
    by_data = {one.data: one.agreement.rename(seeds.to_dict()) for one in starts(evidence)}
    for data, agreement in by_data.items():
        words = "correlation of a start's errors with the others'"
        yield "some samples are easier than others", words, {"data": data}, agreement
        if data != TRUE and TRUE in by_data:
            words = f"the same correlation on {TRUE} minus that on {data}"
            yield "true data have more easy samples", words, {"data": data}, by_data[TRUE] - agreement


def _staying(evidence: Evidence) -> Iterator[Effect]:
    """Do more samples stay right from the first epoch on where the data are true?"""
    for at, part in grouped(staying(evidence), ["network"]):
        by_data = {str(data): own.set_index("seed")["staying_right"] for data, own in part.groupby("data", sort=False)}
        if TRUE not in by_data:
            continue
        true = by_data.pop(TRUE)
        for data, own in by_data.items():
            words = f"share of samples right from epoch 1 on, {TRUE} minus {data}"
            yield "true data have more samples that stay right", words, {**at, "data": data}, true - own
