"""A summary of a study in a few numbers and two small tables: what `dvc metrics` and `dvc plots` compare."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from gengap.evidence.intervals import FAILED, LEVEL, grouped
from gengap.evidence.measurements import Evidence
from gengap.evidence.paired import holm
from gengap.evidence.verdicts import AGREES, DISAGREES, NOT_COMPARABLE
from gengap.quantities import QUANTITIES

TRAINED = ("train_accuracy", "test_accuracy", "train_loss", "test_loss", "generalization_gap")
ERRORS = ("train_error", "test_error", "train_loss", "test_loss")  # the best of which is the smallest
CURVES = ["group", "quantity", "epoch", "mean"]
FINAL = ["group", "quantity", "mean"]


def metrics(evidence: Evidence, verdicts: pd.DataFrame) -> dict[str, Any]:
    """Sum up a study.

    Args:
        evidence: The study's measurements.
        verdicts: What `gengap.evidence.verdicts.judge` returned.

    Returns:
        ``cells``: how many per status; ``fitted``: how many of them label all training data correctly;
        ``verdicts``: how many per verdict; ``published``: how many printed numbers, each of which has a verdict per
        alternative, see `published`;
        ``best``: the smallest final errors and losses; ``mean``: final values, averaged. All over the finished cells,
        shares as fractions; of a simulation, the mean of everything that it measured and nothing else.
    """
    status = evidence.cells["status"]
    finished = _with_errors(evidence.finished)
    means = (*ERRORS, "generalization_gap") if "test_error" in finished else quantities(evidence)
    return {
        "cells": {name: int((status == name).sum()) for name in ("finished", *reversed(FAILED))},
        **({"fitted": int((finished["train_error"] == 0).sum())} if "train_error" in finished else {}),
        "verdicts": {name: int((verdicts["verdict"] == name).sum()) for name in (AGREES, DISAGREES, NOT_COMPARABLE)},
        "published": published(verdicts),
        "best": _summed(finished, ERRORS, pd.Series.min),
        "mean": _summed(finished, means, pd.Series.mean),
    }


def published(verdicts: pd.DataFrame) -> dict[str, int]:
    """What became of the printed numbers, each of which has one verdict per alternative.

    Returns:
        ``numbers``: how many were printed; ``agreeing``: with at least one alternative; ``disagreeing``: with all
        alternatives that could be compared; ``disagreeing_holm``: how many of these remain below 5 % after Holm's
        correction for all numbers that were compared. A number's p-value is its largest over the alternatives.
    """
    number = [verdicts[key] for key in ("source", "table", "row", "quantity")]
    agrees = (verdicts["verdict"] == AGREES).groupby(number, dropna=False).any()
    compared = verdicts["verdict"].isin([AGREES, DISAGREES])
    disagrees = compared.groupby(number, dropna=False).any() & ~agrees
    largest = verdicts["p"].where(compared).groupby(number, dropna=False).max()
    corrected = pd.Series(holm(largest), index=largest.index)
    return {
        "numbers": len(agrees),
        "agreeing": int(agrees.sum()),
        "disagreeing": int(disagrees.sum()),
        "disagreeing_holm": int((disagrees & (corrected < 1 - LEVEL)).sum()),
    }


def curves(evidence: Evidence) -> pd.DataFrame:
    """Mean learning curves over the finished cells of each group, in the units of display.

    Returns:
        Columns ``group``, ``quantity``, ``epoch``, ``mean``. A cell that stopped early keeps its last value.
    """
    rows: list[pd.DataFrame] = []
    for group, cells in _groups(evidence):
        history = evidence.history[evidence.history["cell"].isin(cells["cell"])]
        for quantity in (name for name in TRAINED if (history["quantity"] == name).any()):
            part = history[history["quantity"] == quantity]
            mean = part.pivot_table(index="epoch", columns="cell", values="value").ffill().mean(axis=1)
            mean = mean * QUANTITIES[quantity].scale
            rows.append(pd.DataFrame({"group": group, "quantity": quantity, "epoch": mean.index, "mean": mean}))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=CURVES)


def final(evidence: Evidence) -> pd.DataFrame:
    """Mean final values over the finished cells of each group, in the units of display.

    Returns:
        Columns ``group``, ``quantity``, ``mean``.
    """
    rows = [
        (group, quantity, cells[quantity].mean() * QUANTITIES[quantity].scale)
        for group, cells in _groups(evidence)
        for quantity in quantities(evidence)
        if cells[quantity].notna().any()
    ]
    return pd.DataFrame(rows, columns=FINAL)


def quantities(evidence: Evidence) -> tuple[str, ...]:
    """What a study is summed up by: accuracies, losses and their gap; of a simulation, all that it measured."""
    trained = tuple(name for name in TRAINED if name in evidence.cells)
    return trained or tuple(name for name in QUANTITIES if name in evidence.cells)


def _groups(evidence: Evidence) -> list[tuple[str, pd.DataFrame]]:
    """Finished cells that differ only in their seed, and what they share, spelled as in their names."""
    return [
        (",".join(f"{axis}={value}" for axis, value in values.items()) or "all cells", cells)
        for values, cells in grouped(evidence.finished, evidence.axes)
    ]


def _with_errors(cells: pd.DataFrame) -> pd.DataFrame:
    shares = {
        f"{split}_error": 1 - cells[f"{split}_accuracy"] for split in ("train", "test") if f"{split}_accuracy" in cells
    }
    return cells.assign(**shares)


def _summed(cells: pd.DataFrame, names: tuple[str, ...], how: Callable[[Any], Any]) -> dict[str, float]:
    """One number per quantity that was measured at all."""
    known = [name for name in names if name in cells and cells[name].notna().any()]
    return {name: round(float(how(cells[name])), 6) for name in known}
