"""Published numbers: one CSV file per printed table."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gengap.errors import UserError, unknown_name
from gengap.quantities import QUANTITIES, SHARES

COLUMNS = ["source", "table", "row", "cells", "quantity", "published", "spread", "runs", "unit", "tolerance", "note"]
OPTIONAL = {"runs", "tolerance", "note"}


def read_published(path: str | Path) -> pd.DataFrame:
    """Read a file of published numbers; every column is text, numbers stay as they were printed.

    Columns: ``source``, ``table`` and ``row`` say where it was printed; ``cells`` selects the cells of a study, e.g.
    ``width=4,init=he`` or ``init=balanced:*``; ``quantity`` and ``unit`` as in `gengap.quantities`; ``published``;
    ``spread``, the printed standard deviation over runs, empty if none was printed; ``runs``, how many runs a number
    without spread is the mean of (empty: 1); ``tolerance``, how far a number may be off in its own unit (empty: half of
    its last printed digit); ``note``.

    Raises:
        UserError: If a column, quantity, unit, selector or number is wrong; the message names file and line.
    """
    path = Path(path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}).") from error
    if unknown := [column for column in table.columns if column not in COLUMNS]:
        raise unknown_name("column", unknown[0], COLUMNS, where=str(path))
    if missing := [column for column in COLUMNS if column not in table.columns and column not in OPTIONAL]:
        raise UserError(f"{path}: lacks the column '{missing[0]}'. It needs: {', '.join(COLUMNS)}.")
    table = table.reindex(columns=COLUMNS, fill_value="")
    for line, row in enumerate(table.to_dict("records"), start=2):
        _check(row, f"{path}: line {line}")
    return table


def parse_selector(selector: str, where: str = "") -> dict[str, str]:
    """Read ``width=4,init=he`` as axis values.

    Raises:
        UserError: If it is not of that form.
    """
    pairs = [part.partition("=") for part in selector.split(",")]
    if not all(axis.strip() and value.strip() for axis, _, value in pairs):
        raise UserError(f"{where}: cells: {selector!r} is no selector. Write axis=value pairs such as width=4,init=he.")
    return {axis.strip(): value.strip() for axis, _, value in pairs}


def _check(row: Mapping[Any, Any], where: str) -> None:
    if row["quantity"] not in QUANTITIES:
        raise unknown_name("quantity", row["quantity"], QUANTITIES, where=where)
    unit = QUANTITIES[row["quantity"]].unit
    if row["unit"] != unit:
        raise UserError(f"{where}: unit: {row['unit']!r} is not allowed, {row['quantity']} is shown in {unit!r}.")
    parse_selector(row["cells"], where)
    if row["runs"] and not (row["runs"].isdecimal() and int(row["runs"])):
        raise UserError(f"{where}: runs: {row['runs']!r} is not allowed, it is a whole number from 1 on.")
    for column in ("published", "spread", "tolerance"):
        if row[column] or column == "published":
            _check_number(row, column, where)


def _check_number(row: Mapping[Any, Any], column: str, where: str) -> None:
    """Refuse what is no number, not finite, or outside the values that are possible."""
    text = row[column]
    try:
        value = float(text)
    except ValueError as error:
        raise UserError(
            f"{where}: {column}: {text!r} is not a number. Write it as it was printed, e.g. 88.60."
        ) from error
    if not math.isfinite(value):
        raise UserError(f"{where}: {column}: {text!r} is not finite. Write the printed number, or remove the line.")
    share = row["quantity"] in SHARES
    if column != "published" and value < 0:
        raise UserError(f"{where}: {column}: {text} is negative. It is 0 or more.")
    if share and not 0 <= value <= 100:
        raise UserError(f"{where}: {column}: {text} is outside 0 to 100: {row['quantity']} is a percentage.")
