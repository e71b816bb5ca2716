"""The scoreboard as one row per measure, and as a page in Markdown."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gengap.counting import count
from gengap.scoreboard import board as names
from gengap.scoreboard.board import ALL, Board
from gengap.scoreboard.controls import MEANING as CONTROLS
from gengap.scoreboard.population import described
from gengap.scoreboard.verdicts import ALPHA
from gengap.scoreboard.verdicts import MEANING as VERDICTS

SHOWN = {
    names.EQUAL: "r at equal design",
    names.PSI: "psi",
    names.TAU: "tau",
    names.LEAST_CMI: "CMI",
    names.MEAN: "sign error, mean",
    names.NINTH: "90 %",
    names.MAXIMUM: "max",
    names.INCREMENT: "increment",
    names.PGDL: "PGDL",
}


def wide(board: Board) -> pd.DataFrame:
    """One row per measure, the best first: verdict, p value, and every statistic over all axes with its interval.

    Returns:
        ``measure``, ``control``, ``verdict``, ``p``, for every statistic its value, ``_low`` and ``_high``, psi of
        every axis as ``granulated_psi[axis]``, sign errors as ``sign_error_mean[axis]``, and ``why``.
    """
    table = board.verdicts.set_index("measure")
    columns = table[["control", "verdict", "p"]].copy()
    along = [(statistic, axis) for statistic in (names.PSI, names.MEAN) for axis in board.population.axes]
    for statistic, axis in [*((shown, ALL) for shown in SHOWN), *along]:
        chosen = (board.statistics["statistic"] == statistic) & (board.statistics["axis"] == axis)
        rows = board.statistics[chosen].set_index("measure")
        name = statistic if axis == ALL else f"{statistic}[{axis}]"
        columns[name] = rows["value"]
        columns[f"{name}_low"], columns[f"{name}_high"] = rows["low"], rows["high"]
    return columns.assign(why=table["why"]).reset_index()


def markdown(board: Board, title: str) -> str:
    """A page: what was judged, the table, what the verdicts and columns mean."""
    made, table = board.population, wide(board)
    lines = [f"# {title}", "", *_facts(board, _environments(board)), ""]
    header = ["measure", "verdict", *SHOWN.values(), *(f"psi {axis}" for axis in made.axes)]
    lines += [_row(header), _row(["---"] * len(header))]
    for row in table.to_dict("records"):
        numbers = [_number(row, name) for name in SHOWN]
        numbers += [_number(row, f"{names.PSI}[{axis}]") for axis in made.axes]
        name = f"*{row['measure']}*" if row["control"] else str(row["measure"])
        lines.append(_row([name, str(row["verdict"]), *numbers]))
    used = list(dict.fromkeys(table["verdict"]))
    lines += ["", "In italics: controls.", ""]
    lines += [f"* *{name}*: {text}" for name, text in CONTROLS.items() if name in set(table["measure"])]
    lines += ["", "## Verdicts", ""]
    lines += [f"* **{word}**: {VERDICTS[word]}" for word in used]
    lines += ["", "## Why", "", _row(["measure", "why"]), _row(["---", "---"])]
    lines += [_row([str(row["measure"]), str(row["why"])]) for row in table.to_dict("records")]
    return "\n".join(lines) + "\n"


def summary(board: Board) -> list[str]:
    """A few lines for the terminal: how many networks, and the verdict of every measure."""
    table = wide(board)
    longest = max(len(str(name)) for name in table["measure"])
    lines = _facts(board, _environments(board))
    for row in table.to_dict("records"):
        numbers = f"r = {_number(row, names.EQUAL)} at equal design, psi = {_number(row, names.PSI)}"
        name = f"({row['measure']})" if row["control"] else str(row["measure"])
        lines.append(f"  {name:{longest + 2}}  {row['verdict']:18}{numbers}")
    return lines


def _environments(board: Board) -> int:
    rows = board.statistics[(board.statistics["statistic"] == names.MEAN) & (board.statistics["axis"] == ALL)]
    return int(rows["n"].iloc[0])


def _facts(board: Board, environments: int) -> list[str]:
    made = board.population
    facts = [
        f"{count(len(made.table), 'network')} in {count(len(made.starts), 'configuration')} of {', '.join(made.axes)}; "
        f"gap: {made.gap}."
    ]
    if made.left_out:
        share = sum(made.left_out.values()) / (sum(made.left_out.values()) + len(made.table))
        facts.append(f"Left out: {described(made.left_out)} ({share:.1%} of all).")
    if made.equal:
        facts.append(f"At equal design also at equal {', '.join(made.equal)}.")
    if made.decreasing:
        facts.append(f"Judged by their negative, since less should mean a larger gap: {', '.join(made.decreasing)}.")
    noise = f"gaps measured on {count(made.test_size, 'sample')}" if made.test_size else "no filter of noise"
    facts.append(f"{environments:,} directed environments ({noise}).")
    facts.append(
        "Intervals: 95 %, by resampling configurations, each for itself. "
        f"Verdicts: level {ALPHA} over all measures together (Holm)."
    )
    return facts


def _number(row: Mapping[Any, Any], name: str) -> str:
    value, low, high = (float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    if value != value:
        return "–"
    digits = 1 if abs(value) >= 10 else 2
    ends = f" [{low:.{digits}f}, {high:.{digits}f}]" if low == low else ""
    return f"{value:.{digits}f}{ends}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
