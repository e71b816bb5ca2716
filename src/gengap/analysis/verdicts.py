"""Comparing every published number with the interval that a study measured."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gengap.analysis.evidence import Evidence
from gengap.analysis.intervals import Interval, interval, left_out, usable
from gengap.analysis.references import parse_selector
from gengap.quantities import QUANTITIES

COLUMNS = [
    "study",
    "source",
    "table",
    "row",
    "quantity",
    "published",
    "mean",
    "low",
    "high",
    "n_seeds",
    "verdict",
    "why",
    "settings",
    "note",
]
AGREES, DISAGREES, NOT_COMPARABLE = "agrees", "disagrees", "not comparable"
MIN_SEEDS = 3


def judge(evidence: Evidence, references: list[pd.DataFrame]) -> pd.DataFrame:
    """Give a verdict on every published number.

    A printed single run agrees if it lies in the 95 % prediction interval for one further run, a printed mean of
    several runs if it lies in that for the mean of so many. A printed mean with its spread agrees if that range and the
    95 % confidence interval of our mean overlap. Reduced settings, fewer than
    3 finished seeds, or cells that the study lacks are not comparable.

    Args:
        evidence: The study's measurements.
        references: Tables as `gengap.analysis.references.read_reference` returns them.

    Returns:
        One row per published number; ``published`` as it was printed, ``mean``, ``low`` and ``high`` in its unit;
        ``note`` is what the file of published numbers says of it.
    """
    rows = [_judge(evidence, row) for table in references for row in table.to_dict("records")]
    return pd.DataFrame(rows, columns=COLUMNS)


def _judge(evidence: Evidence, row: Mapping[Any, Any]) -> dict[str, object]:
    reduced = bool(evidence.study["reduced"])
    judged: dict[str, object] = {key: row[key] for key in ("source", "table", "row", "quantity", "published", "note")}
    judged |= {"study": evidence.study["name"], "settings": "reduced" if reduced else "full", "n_seeds": 0}
    judged |= {"mean": math.nan, "low": math.nan, "high": math.nan, "verdict": NOT_COMPARABLE}
    cells, problem = _select(evidence, row["cells"])
    if problem:
        return judged | {"why": problem}
    if row["quantity"] not in cells:
        return judged | {"why": f"{row['quantity']} was not measured in this study"}
    ours = interval(usable(cells, row["quantity"]) * QUANTITIES[row["quantity"]].scale)
    low, high = (ours.mean_low, ours.mean_high) if row["spread"] else ours.of_next(int(row["runs"] or 1))
    digits = _decimals(row["published"]) + 2
    judged |= {"n_seeds": ours.n, "mean": round(ours.mean, digits)}
    judged |= {"low": round(low, digits), "high": round(high, digits)}
    names = left_out(cells, row["quantity"])["left_out"]
    note = f"; left out: {names}" if names else ""
    if ours.n < MIN_SEEDS:
        seeds = "1 finished seed" if ours.n == 1 else f"{ours.n} finished seeds"
        why = f"{seeds} where at least {MIN_SEEDS} are needed"
        return judged | {"why": f"{'reduced settings; ' * reduced}{why}{note}"}
    agrees, why = _compare(row, ours, low, high)
    if reduced:
        return judged | {"why": f"reduced settings; {why}{note}"}
    return judged | {"verdict": AGREES if agrees else DISAGREES, "why": f"{why}{note}"}


def _compare(row: Mapping[Any, Any], ours: Interval, low: float, high: float) -> tuple[bool, str]:
    """Whether the printed number agrees, and the sentence that says by which rule."""
    published = float(row["published"])
    tolerance = float(row["tolerance"] or 0.5 * 10.0 ** -_decimals(row["published"]))
    # One part in 10^9 for the rounding of the interval's own arithmetic.
    slack = tolerance * (1 + 1e-9) + float(row["spread"] or 0.0)
    agrees = low - slack <= published <= high + slack
    digits = _decimals(row["published"])
    ends = f"[{low:.{digits}f}, {high:.{digits}f}]"
    if row["spread"]:
        word = "overlaps" if agrees else "does not overlap"
        return agrees, (
            f"published {row['published']} ± {row['spread']} {word} the 95 % confidence interval {ends} "
            f"of the mean over {ours.n} seeds"
        )
    place = "inside" if agrees else "outside"
    if (runs := int(row["runs"] or 1)) > 1:
        return agrees, (
            f"published mean {row['published']} of {runs} runs {place} the 95 % prediction interval {ends} "
            f"for the mean of {runs} more, from {ours.n} seeds"
        )
    return agrees, (
        f"single published run {row['published']} {place} the 95 % prediction interval {ends} of {ours.n} seeds"
    )


def _select(evidence: Evidence, selector: str) -> tuple[pd.DataFrame, str]:
    """The cells that a selector names, or why there are none that can be compared."""
    cells = evidence.cells
    wanted = parse_selector(selector)
    for axis, value in wanted.items():
        if axis not in evidence.study["axes"]:
            return cells.iloc[:0], f"'{axis}' of {selector} is no axis of this study's grid"
        cells = cells[[_same(own, value) for own in cells[axis]]]
    if cells.empty:
        return cells, f"this study has no cell with {selector}"
    for axis in evidence.axes:
        if len(values := cells[axis].unique()) > 1:
            listed = ", ".join(str(value) for value in values)
            return cells.iloc[:0], f"the cells with {selector} differ in {axis} ({listed})"
    return cells, ""


def _same(own: object, wanted: str) -> bool:
    """Whether an axis value is the one that was written: 0.10 is 0.1, 4 is 4.0."""
    if str(own) == wanted:
        return True
    try:
        return float(str(own)) == float(wanted)
    except ValueError:
        return False


def _decimals(printed: str) -> int:
    return len(printed.partition(".")[2])
