"""Where a source is silent: which of the settings that a study tried come closest to the printed numbers."""

import math
from typing import Any

import numpy as np
import pandas as pd

from gengap.errors import UserError
from gengap.evidence.measurements import Evidence
from gengap.evidence.verdicts import compare

PART = {
    "summary": "Where a source is silent: the settings closest to its numbers.",
    "published": True,
    "caption": """\
**Where the source is silent: the settings closest to its numbers** (study ``{{ snakemake.wildcards.study }}``). One row
per printed row with its numbers, and below it every combination of settings that the study tried and the source does
not print (``alternative``), the closest first. The columns of the quantities hold our means over ``seeds`` finished
networks and in brackets (in the CSV ``_low`` and ``_high``) the 95 % interval that the verdict uses; ``inside`` counts
the printed numbers that lie within the intervals. ``distance`` is the root mean square over all numbers of the row of
(mean - printed) / y, where y is the median over the alternatives of the standard deviation between seeds, with the
rounding of the printed number: 1 means off by what one run scatters. Networks that died, stuck or diverged are left out
of the means, and an alternative without any other comes last. The closest of many alternatives is closer than each was
likely to be; it is a guess about what was not printed, and no reproduction. With reduced settings the order shows which
way the study points.
""",
}

PRINTED = "(printed)"


def table(evidence: Evidence) -> pd.DataFrame:
    """The alternatives of every printed row, in the order of their distance from all its numbers together.

    The distance is the root mean square, over the row's quantities, of (mean - printed) / y. The yardstick y is what a
    printed number would scatter by: y^2 = s^2 / r + d^2, where s is the median over the alternatives of the standard
    deviation between seeds, r the number of runs that were printed, and d the rounding of the printed number. All
    alternatives of a row share it, so that none is close because it scatters much.

    Returns:
        For each printed row that the study has cells of, a row with the printed numbers, then one per alternative:
        ``table``, ``row``, ``alternative``, ``seeds`` (runs, of the printed row), ``inside`` (how many numbers lie in
        the interval of the verdict; only from 3 seeds on), ``distance`` (NaN for the printed row, without two seeds of
        any alternative, or if a quantity lacks), and of each quantity the mean, ``_low`` and ``_high``, that interval.

    Raises:
        UserError: If there are no published numbers, or the study has no cell that one of them is about.
    """
    if not evidence.published:
        raise UserError(
            f"study '{evidence.study['name']}': there are no published numbers to compare with. Name a file of them "
            "under `published`, or remove the table 'closest'."
        )
    numbers = compare(evidence, evidence.published)
    parts = [part for _, part in numbers[numbers["found"]].groupby(["source", "table", "row"], sort=False)]
    if not parts:
        raise UserError(
            f"study '{evidence.study['name']}': the published numbers select none of its cells. The column `why` "
            "of verdicts.csv says for each number what the study lacks; change its grid, or remove the table 'closest'."
        )
    rows = [row for part in parts for row in _of_row(part)]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return pd.DataFrame(rows, columns=columns)


def _of_row(numbers: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of one printed row: the printed numbers first, then its alternatives."""
    first = numbers.drop_duplicates("quantity")
    where = {"table": numbers["table"].iloc[0], "row": numbers["row"].iloc[0]}
    printed: dict[str, Any] = {**where, "alternative": PRINTED, "seeds": int(first["runs"].min())}
    printed |= {"inside": "", "distance": math.nan}
    for number in first.to_dict("records"):
        printed |= _ends(number["quantity"], float(number["published"]), math.nan, math.nan)
    far = numbers.assign(far=_in_yardsticks(numbers))
    found = [_of_alternative(str(name), part) for name, part in far.groupby("alternative", sort=False)]
    found.sort(key=lambda row: math.inf if np.isnan(row["distance"]) else row["distance"])
    return [printed, *({**where, **row} for row in found)]


def _of_alternative(name: str, numbers: pd.DataFrame) -> dict[str, Any]:
    judged = numbers["inside"].dropna()
    row: dict[str, Any] = {"alternative": name, "seeds": int(numbers["n_seeds"].min())}
    row |= {"inside": f"{int(judged.sum())} of {len(numbers)}" if len(judged) == len(numbers) else ""}
    row |= {"distance": round(float(np.sqrt(np.square(numbers["far"]).mean(skipna=False))), 2)}
    for number in numbers.to_dict("records"):
        row |= _ends(number["quantity"], number["mean"], number["low"], number["high"])
    return row


def _in_yardsticks(numbers: pd.DataFrame) -> pd.Series:
    """(mean - printed) / y of every number and alternative."""
    scatter = numbers.groupby("quantity")["deviation"].transform("median")  # NaN where none has two seeds
    yardstick = np.sqrt(np.square(scatter) / numbers["runs"] + np.square(numbers["rounding"]))
    far: pd.Series = (numbers["mean"] - numbers["published"].astype(float)) / yardstick
    return far


def _ends(quantity: str, value: float, low: float, high: float) -> dict[str, Any]:
    return {quantity: value, f"{quantity}_low": low, f"{quantity}_high": high}
