"""Published values of a scoreboard beside those of a population: the same table must give the same numbers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gengap.errors import UserError
from gengap.evidence.published import parse_selector
from gengap.evidence.verdicts import AGREES, DISAGREES, NOT_COMPARABLE
from gengap.scoreboard import board as names
from gengap.scoreboard.board import ALL, COLUMNS

RANK, ENVIRONMENTS = "sign_error_rank", "directed_environments"
SELECTORS = ("measure", "axis", "task")
FOUND = ["source", "table", "row", "quantity", "published", "ours", "verdict", "why", "note"]


def reproduced(statistics: pd.DataFrame, published: pd.DataFrame, population: str = "") -> pd.DataFrame:
    """Compare every published value with ours; a value agrees if it is ours, rounded as it was printed.

    There is no interval here: published and ours come from the same networks, so they differ only by rounding.

    Args:
        statistics: As `gengap.scoreboard.board.Board.statistics`.
        published: As `gengap.evidence.published.read_published` returns it; ``cells`` names ``measure``, ``axis`` (all,
            if it is left out) and ``task``, the name of the population.
        population: Name of the population, compared with ``task``.

    Returns:
        One row per published value: ``source``, ``table``, ``row``, ``quantity``, ``published``, ``ours``, ``verdict``,
        ``why`` and ``note``.

    Raises:
        UserError: If a selector names anything else.
    """
    ours = _with_ranks(statistics)
    rows = [_judged(ours, row, population) for row in published.to_dict("records")]
    return pd.DataFrame(rows, columns=FOUND)


def _judged(statistics: pd.DataFrame, row: Mapping[Any, Any], population: str) -> dict[str, object]:
    selected = parse_selector(row["cells"], row["source"])
    if unknown := set(selected) - set(SELECTORS):
        raise UserError(
            f"{row['source']}, {row['row']}: cells: '{unknown.pop()}' is not allowed. "
            f"Choose from: {', '.join(SELECTORS)}."
        )
    judged: dict[str, object] = {key: row[key] for key in ("source", "table", "row", "quantity", "published", "note")}
    judged |= {"ours": float("nan"), "verdict": NOT_COMPARABLE}
    if "task" in selected and selected["task"] != population:
        return judged | {"why": f"of the population {selected['task']}"}
    chosen = statistics[statistics["axis"] == selected.get("axis", ALL)]
    if "measure" in selected:
        chosen = chosen[chosen["measure"] == selected["measure"]]
    quantity = names.MEAN if row["quantity"] == ENVIRONMENTS else row["quantity"]
    chosen = chosen[chosen["statistic"] == quantity]
    if chosen.empty:
        return judged | {"why": f"{row['cells']} is not in this population"}
    value = float(chosen["n" if row["quantity"] == ENVIRONMENTS else "value"].iloc[0])
    digits = len(str(row["published"]).partition(".")[2])
    off = float(row["tolerance"] or 0.5 * 10.0**-digits)
    agrees = abs(value - float(row["published"])) <= off * (1 + 1e-9)
    why = f"{value:.{digits + 1}f} is {'' if agrees else 'not '}within {off:g} of {row['published']}"
    return judged | {"ours": value, "verdict": AGREES if agrees else DISAGREES, "why": why}


def _with_ranks(statistics: pd.DataFrame) -> pd.DataFrame:
    """The table and every measure's place by its mean sign error, 1 for the smallest; controls have none."""
    means = statistics[(statistics["statistic"] == names.MEAN) & ~statistics["control"].astype(bool)]
    ranks = means.assign(statistic=RANK, value=means.groupby("axis")["value"].rank(method="min"))
    return pd.concat([statistics, ranks])[COLUMNS]
