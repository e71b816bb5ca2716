"""Comparing every published number with the interval that a study measured."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gengap.evidence.alternatives import Alternative, alternatives
from gengap.evidence.intervals import Interval, interval, left_out, usable
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES, SHARES

COLUMNS = [
    "study",
    "source",
    "table",
    "row",
    "alternative",
    "quantity",
    "published",
    "mean",
    "low",
    "high",
    "width",
    "n_seeds",
    "p",
    "verdict",
    "why",
    "settings",
    "note",
]
COMPARED = [*COLUMNS, "found", "inside", "deviation", "runs", "rounding"]
AGREES, DISAGREES, NOT_COMPARABLE = "agrees", "disagrees", "not comparable"
MIN_SEEDS = 3  # to disagree, and to agree where the interval is narrow
ENOUGH_SEEDS = 5  # to agree, however wide the interval is
WIDEST = {
    "%": 5.0
}  # an interval of fewer seeds that is narrower: percentage points; of other units, a share of the mean
WIDEST_SHARE = 0.25


def judge(evidence: Evidence, published: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Give a verdict on every published number.

    A printed single run agrees if it lies in the 95 % prediction interval for one further run, a printed mean of
    several runs if it lies in that for the mean of so many. A printed mean with its spread agrees if that range and the
    95 % confidence interval of our mean overlap. Intervals of accuracies and errors are computed on the logit scale.

    To agree takes 5 finished seeds, or 3 whose interval is at most 5 percentage points wide (of other units, a quarter
    of the mean): an interval that contains almost everything confirms nothing. To disagree takes 3. Reduced settings,
    fewer seeds, or cells that the study lacks are not comparable.

    Where the source is silent on an axis of the study, each combination of the open axes' values is an alternative and
    has a verdict of its own; see `gengap.evidence.alternatives`. Nothing is corrected for their number, which every
    ``why`` states: of many alternatives, one may agree by chance.

    Args:
        evidence: The study's measurements.
        published: Tables as `gengap.evidence.published.read_published` returns them.

    Returns:
        One row per published number and alternative; ``published`` as it was printed, ``mean``, ``low``, ``high`` and
        ``width``, high minus low, in its unit; ``p``, the two-sided probability of a value as far from our mean as the
        printed one, at the near end of its rounding; ``note`` is what the file of published numbers says of it.
    """
    return compare(evidence, published)[COLUMNS]


def compare(evidence: Evidence, published: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """What `judge` returns, and five columns more, which are the same for reduced settings.

    Returns:
        The further columns: ``found``, whether the study has such cells; ``inside``, whether the printed number lies in
        the interval (None: fewer than 3 seeds); ``deviation``, the standard deviation over our seeds (NaN: fewer than
        2); ``runs``, how many runs were printed; ``rounding``, how far the printed number may be off.
    """
    rows = [judged for table in published for row in table.to_dict("records") for judged in _judge_all(evidence, row)]
    return pd.DataFrame(rows, columns=COMPARED)


def _judge_all(evidence: Evidence, row: Mapping[Any, Any]) -> list[dict[str, object]]:
    """One verdict per alternative, or one that says why there is none."""
    reduced = bool(evidence.study["reduced"])
    start: dict[str, object] = {key: row[key] for key in ("source", "table", "row", "quantity", "published", "note")}
    start |= {"study": evidence.study["name"], "settings": "reduced" if reduced else "full", "n_seeds": 0}
    start |= dict.fromkeys(("mean", "low", "high", "width", "p"), math.nan)
    start |= {"verdict": NOT_COMPARABLE, "alternative": ""}
    start |= {
        "found": False,
        "inside": None,
        "deviation": math.nan,
        "runs": int(row["runs"] or 1),
        "rounding": _rounding(row),
    }
    found, problem = alternatives(evidence, row["cells"])
    if not problem and row["quantity"] not in evidence.cells:
        problem = f"{row['quantity']} was not measured in this study"
    if problem:
        return [start | {"why": problem}]
    many = f"; one of {len(found)} alternatives" if len(found) > 1 else ""
    start["found"] = True
    judged = [
        start | {"alternative": alternative.name} | _judge(alternative, row, reduced=reduced) for alternative in found
    ]
    return [alternative | {"why": f"{alternative['why']}{many}"} for alternative in judged]


def _judge(alternative: Alternative, row: Mapping[Any, Any], *, reduced: bool) -> dict[str, object]:
    """What one alternative says of a published number."""
    cells, quantity = alternative.cells, row["quantity"]
    values, scale = usable(cells, quantity), QUANTITIES[quantity].scale
    ours, runs = interval(values, share=quantity in SHARES), int(row["runs"] or 1)
    low, high = (scale * end for end in (ours.of_mean if row["spread"] else ours.of_next(runs)))
    digits = _decimals(row["published"]) + 2
    judged: dict[str, object] = {"n_seeds": ours.n, "mean": round(scale * ours.mean, digits)}
    judged |= {"low": round(low, digits), "high": round(high, digits), "width": round(high - low, digits)}
    judged |= {"deviation": scale * float(values.std(ddof=1)), "p": _probability(row, ours, scale)}
    names = left_out(cells, quantity)["left_out"]
    note = f"; left out: {names}" if names else ""
    if ours.n < MIN_SEEDS:
        why = f"{_seeds(ours.n)} where at least {MIN_SEEDS} are needed"
        return judged | {"why": f"{'reduced settings; ' * reduced}{why}{note}"}
    agrees, why = _compare(row, ours, low, high)
    judged["inside"] = agrees
    if reduced:
        return judged | {"why": f"reduced settings; {why}{note}"}
    unit = QUANTITIES[quantity].unit
    if agrees and ours.n < ENOUGH_SEEDS and high - low > WIDEST.get(unit, WIDEST_SHARE * abs(scale * ours.mean)):
        limit = f"{WIDEST[unit]:g} percentage points" if unit in WIDEST else f"{WIDEST_SHARE:.0%} of the mean"
        why += f", which is wider than {limit}: {ENOUGH_SEEDS} seeds are needed"
        return judged | {"why": f"{why}{note}"}
    return judged | {"verdict": AGREES if agrees else DISAGREES, "why": f"{why}{note}"}


def _probability(row: Mapping[Any, Any], ours: Interval, scale: float) -> float:
    """The p-value of a printed number, at the near end of its rounding; of a mean with a spread, NaN."""
    if row["spread"]:
        return math.nan
    published, slack = float(row["published"]) / scale, _rounding(row) * (1 + 1e-9) / scale
    near = min(max(ours.mean, published - slack), published + slack)
    return float(f"{ours.probability(min(max(near, 0.0), 1.0) if ours.share else near, int(row['runs'] or 1)):.3g}")


def _seeds(n: int) -> str:
    return "1 finished seed" if n == 1 else f"{n} finished seeds"


def _compare(row: Mapping[Any, Any], ours: Interval, low: float, high: float) -> tuple[bool, str]:
    """Whether the printed number agrees, and the sentence that says by which rule."""
    published = float(row["published"])
    # One part in 10^9 for the rounding of the interval's own arithmetic.
    slack = _rounding(row) * (1 + 1e-9) + float(row["spread"] or 0.0)
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


def _rounding(row: Mapping[Any, Any]) -> float:
    """How far a printed number may be off, in its own unit."""
    return float(row["tolerance"] or 0.5 * 10.0 ** -_decimals(row["published"]))


def _decimals(printed: str) -> int:
    return len(printed.partition(".")[2])
