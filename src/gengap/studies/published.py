"""Files of published numbers, one CSV file per printed table: read and checked before anything is trained."""

import csv
import math
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gengap import escaping, layout, registry
from gengap.errors import UserError, unknown_name
from gengap.quantities import QUANTITIES, SHARES
from gengap.studies.grid import values_of
from gengap.studies.names import REDUCED
from gengap.studies.reading import MOST_BYTES
from gengap.studies.settings import leaf_names
from gengap.studies.study import Study

COLUMNS = ["source", "table", "row", "cells", "quantity", "published", "spread", "runs", "unit", "tolerance", "note"]
OPTIONAL = {"runs", "tolerance", "note"}
MOST_RUNS = 10**6
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a file of published numbers; every value is text, numbers stay as they were printed.

    Columns: ``source``, ``table`` and ``row`` say where it was printed; ``cells`` selects the cells of a study, e.g.
    ``width=4,init=he`` or ``init=balanced:*``; ``quantity`` and ``unit`` as in `gengap.quantities`; ``published``;
    ``spread``, the printed standard deviation over runs, empty if none was printed; ``runs``, how many runs a number
    without spread is the mean of (empty: 1); ``tolerance``, how far a number may be off in its own unit (empty: half of
    its last printed digit); ``note``.

    Raises:
        UserError: If a column, quantity, unit, selector or number is wrong; the message names file and line.
    """
    try:
        if path.exists() and path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: has more than {MOST_BYTES:,} bytes, which no table of printed numbers has.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            columns, rows = list(lines.fieldnames or ()), [(lines.line_num, row) for row in lines]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}).") from error
    if len(columns) == 1 and (sign := next((sign for sign in ";\t|" if sign in columns[0]), "")):
        raise UserError(f"{path}: its columns are separated by {sign!r}. Separate them by commas.")
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise unknown_name("column", unknown[0], COLUMNS, where=str(path))
    if missing := [column for column in COLUMNS if column not in columns and column not in OPTIONAL]:
        raise UserError(f"{path}: lacks the column '{missing[0]}'. It needs: {', '.join(COLUMNS)}.")
    if repeated := [column for column in columns if columns.count(column) > 1]:
        raise UserError(f"{path}: has the column '{repeated[0]}' twice. Remove one.")
    if not rows:
        raise UserError(f"{path}: has no line below its columns, so there is nothing to compare with. Add one.")
    found = []
    given: dict[tuple[str, ...], int] = {}
    for line, row in rows:
        where = f"{path}: line {line}"
        if None in row or None in row.values():
            raise UserError(f"{where}: has not as many values as there are columns. Put text with commas in quotes.")
        found.append({column: row.get(column, "") for column in COLUMNS})
        if sign := next((sign for text in found[-1].values() if (sign := escaping.invisible(text))), ""):
            raise UserError(f"{where}: {sign!a} is a character that is not seen. Remove it.")
        _check(found[-1], where)
        _check_once(found[-1], line, given, path)
    return found


def _check_once(row: Mapping[str, str], line: int, given: dict[tuple[str, ...], int], path: Path) -> None:
    """Refuse a number that an earlier line gives: both would be counted as one, or one of the two is wrong."""
    if (earlier := given.setdefault(_number(row), line)) != line:
        raise UserError(
            f"{path}: lines {earlier} and {line}: row: {row['row']!r} gives {row['quantity']} twice. Remove one, or "
            "give the rows different names."
        )


def _number(row: Mapping[str, str]) -> tuple[str, ...]:
    """What a printed number is known by."""
    return tuple(" ".join(row[column].split()) for column in ("source", "table", "row", "quantity"))


def parse_selector(selector: str, where: str = "") -> dict[str, str]:
    """Read ``width=4,init=he`` as axis values.

    Raises:
        UserError: If it is not of that form.
    """
    pairs = [part.partition("=") for part in selector.split(",")]
    axes = [axis.strip() for axis, _, _ in pairs]
    if repeated := next((axis for axis in axes if axes.count(axis) > 1), ""):
        raise UserError(f"{where}: cells: {selector!r} gives '{repeated}' twice. Remove one.")
    if not all(axis.strip() and value.strip() and "=" not in value for axis, _, value in pairs):
        raise UserError(f"{where}: cells: {selector!r} is no selector. Write axis=value pairs such as width=4,init=he.")
    return {axis.strip(): value.strip() for axis, _, value in pairs}


def is_pattern(value: str) -> bool:
    """Whether the value of a selector is a pattern, which several values fit."""
    return any(sign in value for sign in "*?[")


def matches(own: object, wanted: str) -> bool:
    """Whether a value is the one that was written: 0.10 is 0.1, 4 is 4.0; or fits the pattern."""
    if is_pattern(wanted):
        return fnmatchcase(str(own), wanted)
    if str(own) == wanted:
        return True
    try:
        return float(str(own)) == float(wanted)
    except ValueError:
        return False


def check_published(studies: Mapping[str, Any], folder: Path) -> dict[str, list[str]]:
    """Check the published numbers that studies and simulations compare with.

    Args:
        studies: Studies and simulations by name.
        folder: Where the files lie.

    Returns:
        Warnings by study, of files that are about other cells.

    Raises:
        UserError: If a study names a file that `folder` lacks or that is wrong, or a table that needs one without
            naming any.
    """
    known = [path.stem for path in folder.glob("*.csv")]
    read: dict[str, list[dict[str, str]]] = {}
    warnings: dict[str, list[str]] = {}
    for study in studies.values():
        file = layout.study_file if isinstance(study, Study) else layout.simulation_file
        where = str(file(study.name.removesuffix(REDUCED)))
        given: dict[tuple[str, ...], str] = {}  # in which file each number is
        for name in study.published:
            if name not in known:
                if (old := folder.with_name("reference") / f"{name}.csv").exists():
                    raise UserError(f"{where}: published: '{name}' is in {old.parent}. Move the file to {folder}.")
                near = [path for path in folder.glob("*") if path.name.lower().split(".")[0] == name.lower()]
                if near and name.lower() not in (one.lower() for one in known):
                    raise UserError(
                        f"{where}: published: '{name}': {near[0]} is not read. Rename it to {folder / name}.csv."
                    )
                raise unknown_name("file of published numbers", name, known, where=f"{where}: published")
            if name not in read:
                read[name] = read_rows(folder / f"{name}.csv")
            _check_axes(study, read[name], folder / f"{name}.csv")
            for row in read[name]:
                if (earlier := given.setdefault(_number(row), name)) != name:
                    raise UserError(
                        f"{where}: published: '{earlier}' and '{name}' both give {row['quantity']} of the row "
                        f"{row['row']!r}. Remove one of the files, or the line of one."
                    )
            if isinstance(study, Study) and not study.reduced and read[name] and not _any_found(study, read[name]):
                warnings.setdefault(study.name, []).append(
                    f"{where}: published: no cell of this study is one that {folder / name}.csv tells of in its column "
                    "`cells`, so none of its numbers is compared."
                )
        for table in study.tables if not study.published else ():
            if registry.check("table", table.name).published:
                raise UserError(
                    f"{where}: tables: '{table.name}' needs published numbers. Name a file under `published`."
                )
    return warnings


def _check_axes(study: Any, rows: list[dict[str, str]], path: Path) -> None:
    """Refuse selectors with an axis that no cell of any study has, or that a simulation's points have not."""
    known = set(leaf_names().values())
    if not isinstance(study, Study):
        drawn = {point.simulation for point in study.points.values()}
        known = {"seed", *(option for name in drawn for option in registry.check("simulation", name).options)}
    for row in rows:
        for axis in parse_selector(row["cells"]):
            if axis not in known:
                raise unknown_name("axis", axis, sorted(known), where=f"{path}: row {row['row']!r}: cells")


def _any_found(study: Study, rows: list[dict[str, str]]) -> bool:
    """Whether the study has the values of the selector of any row, if not in one cell."""
    dotted = {short: key for key, short in leaf_names().items()}
    values: dict[str, set[str]] = {}

    def has(name: str, wanted: str) -> bool:
        if name not in values and name in dotted:
            values[name] = values_of(study.cells.values(), dotted[name])
        return any(matches(own, wanted) for own in values.get(name, ()))

    return any(all(has(*item) for item in parse_selector(row["cells"]).items()) for row in rows)


def _check(row: Mapping[str, str], where: str) -> None:
    if empty := next((column for column in ("source", "row") if not row[column].strip()), ""):
        raise UserError(f"{where}: {empty}: is empty, and verdicts call a number by it. Say where it was printed.")
    if row["quantity"] not in QUANTITIES:
        raise unknown_name("quantity", row["quantity"], QUANTITIES, where=where)
    unit = QUANTITIES[row["quantity"]].unit
    if row["unit"] != unit:
        raise UserError(f"{where}: unit: {row['unit']!r} is not allowed, {row['quantity']} is shown in {unit!r}.")
    parse_selector(row["cells"], where)
    if (runs := row["runs"]) and not (re.fullmatch("[0-9]{1,9}", runs) and 1 <= int(runs) <= MOST_RUNS):
        raise UserError(f"{where}: runs: {runs!r} is not allowed, it is a whole number from 1 to {MOST_RUNS:,}.")
    for column in ("published", "spread", "tolerance"):
        if row[column] or column == "published":
            _check_number(row, column, where)


def _check_number(row: Mapping[str, str], column: str, where: str) -> None:
    """Refuse what is no number, not finite, or outside the values that are possible."""
    text = row[column]
    if not _NUMBER.fullmatch(text):  # `float` reads more: 1_000, digits of other scripts, spaces
        raise UserError(f"{where}: {column}: {text!r} is not a number. Write it as it was printed, e.g. 88.60.")
    value = float(text)
    if not math.isfinite(value):
        raise UserError(f"{where}: {column}: {text!r} is not finite. Write the printed number, or remove the line.")
    share = row["quantity"] in SHARES
    if column != "published" and value < 0:
        raise UserError(f"{where}: {column}: {text} is negative. It is 0 or more.")
    if share and not 0 <= value <= 100:
        raise UserError(f"{where}: {column}: {text} is outside 0 to 100: {row['quantity']} is a percentage.")
