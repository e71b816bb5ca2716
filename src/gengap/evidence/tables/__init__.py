"""The tables. Each module has ``table(evidence)``: numbers in the units of display.

The interval of a quantity or statistic is in the columns ``{quantity}_low`` and ``{quantity}_high``.
"""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from gengap import registry
from gengap.counting import count
from gengap.evidence import words
from gengap.evidence.intervals import FAILED, failures
from gengap.evidence.measurements import SEED, Evidence, with_options
from gengap.evidence.tables.page import page
from gengap.files import storage
from gengap.quantities import QUANTITIES
from gengap.studies.study import Table

# A statistic without a unit shows so many digits of its interval's width, at most so many of them decimals.
_STATISTIC, _DIGITS, _MOST_DECIMALS = ".4g", 3, 6
BASELINE = "baseline"  # the value that those of the first column, an axis, are compared with
# Columns of a verdict for reading: what it is about, the verdict, and what is known besides.
VERDICT = [
    "table",
    "row",
    "alternative",
    "quantity",
    "published",
    "measured",
    "width",
    "verdict",
    "why",
    "seeds",
    "note",
    "source",
]


def write(table: str | Table, evidence: Evidence, paths: Mapping[str, str | Path]) -> None:
    """Write a registered table as numbers (CSV) and for reading (Markdown, LaTeX with booktabs, a page of HTML).

    Args:
        table: Its name and options, or only its name.
        evidence: The study's measurements.
        paths: The files to write, by ``csv``, ``md``, ``tex`` and ``html``.

    Raises:
        UserError: If there is no such table, or the study did not measure what it shows.
    """
    settings = Table.model_validate(table)
    name, evidence = settings.name, with_options(evidence, settings)
    module = registry.load("table", name)
    numbers = module.table(evidence)
    shown = readable(numbers, [*evidence.axes, SEED])
    note = left_out(numbers, evidence, getattr(module, "TAKEN", ()))
    csv = numbers.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    storage.write_text(paths["csv"], csv)
    for suffix, style, rows in (("md", "github", shown.map(_markdown)), ("tex", "latex_booktabs", shown)):
        text = tabulate(rows.to_dict("list"), headers="keys", tablefmt=style, disable_numparse=True)
        below = f"\n{note}\n" if note and suffix == "md" else ""
        storage.write_text(paths[suffix], f"{text}\n{below}")
    study = evidence.study["name"]
    storage.write_text(paths["html"], page(name, f"{name.replace('_', ' ').capitalize()}: {study}", shown, csv, note))


def left_out(numbers: pd.DataFrame, evidence: Evidence, taken: Collection[str] = ()) -> str:
    """A line below a table whose columns do not say how many networks failed and are in none of its numbers.

    Args:
        numbers: The table.
        evidence: The study's measurements.
        taken: How networks may have failed that count in it all the same: ``TAKEN`` of a table's module.
    """
    lost = failures(evidence.cells[~evidence.cells["status"].isin(list(taken))])
    if not lost or numbers.columns.isin([*FAILED, "left_out"]).any():
        return ""
    return f"Left out: {lost}, of {count(len(evidence.cells), 'network')}."


def write_verdicts(verdicts: pd.DataFrame, study: str, csv: str | Path, html: str | Path) -> None:
    """Write what `gengap.evidence.verdicts.judge` returns of a study, as numbers and as a page for reading."""
    text = verdicts.to_csv(index=False, lineterminator="\n")
    storage.write_text(csv, text)
    names = {"mean": "measured", "low": "measured_low", "high": "measured_high", "n_seeds": "seeds"}
    in_words = verdicts.assign(
        quantity=[QUANTITIES[name].label if name in QUANTITIES else name for name in verdicts["quantity"]],
        alternative=[words.selected(str(name)) for name in verdicts["alternative"]],
    )
    shown = readable(in_words.rename(columns=names))[VERDICT]
    told = shown.loc[:, [set(shown[column]) != {""} for column in shown]]  # a study may have no alternative, no note
    storage.write_text(html, page("verdicts", f"Published numbers and ours: {study}", told, text))


def readable(numbers: pd.DataFrame, axes: Collection[str] = ()) -> pd.DataFrame:
    """Join each quantity and its interval to one column of text such as ``88.60 [87.10, 90.10]``, and write words.

    Args:
        numbers: What is shown.
        axes: Columns that hold settings, which are named in words.
    """
    shown: dict[str, list[str]] = {}
    summarised = [column for column in numbers.columns if f"{column}_low" in numbers.columns]  # an axis may be `lr`
    for column in numbers.columns:
        if column in summarised:
            ends = zip(numbers[column], numbers[f"{column}_low"], numbers[f"{column}_high"], strict=True)
            header, form = _look(column)
            shown[header] = [_with_ends(*values, form) for values in ends]
        elif column.removesuffix("_low").removesuffix("_high") not in summarised:
            named = column in axes
            of = str(numbers.columns[0]) if column == BASELINE and numbers.columns[0] in axes else column
            header = words.axis(column) if named else column.replace("_", " ")
            shown[header] = [_plain(words.value(of, value) if of in axes else value) for value in numbers[column]]
    return pd.DataFrame(shown)


def _markdown(text: str) -> str:
    """A cell of a table: what would end it or begin a tag is text."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _plain(value: Any) -> str:
    """A value without an interval; a p-value needs no 16 digits."""
    if pd.isna(value):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _look(column: str) -> tuple[str, str]:
    """Header and format of a column with ends: a quantity, or a statistic such as ``median``."""
    if column not in QUANTITIES:
        return column.replace("_", " "), _STATISTIC
    quantity = QUANTITIES[column]
    return quantity.label + (
        f" [{quantity.unit}]" if quantity.unit != "1" else ""
    ), ".2f" if quantity.unit == "%" else ".4f"


def _with_ends(mean: float, low: float, high: float, form: str) -> str:
    if math.isnan(mean):
        return "-"
    if math.isnan(low):
        return f"{mean:{form}}"
    if form == _STATISTIC and math.isfinite(high - low) and high > low:
        decimals = _DIGITS - 1 - math.floor(math.log10(high - low))
        if 0 <= decimals <= _MOST_DECIMALS:  # adding 0 takes the sign from a negative 0
            form, mean, low, high = f".{decimals}f", *(round(value, decimals) + 0.0 for value in (mean, low, high))
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"
