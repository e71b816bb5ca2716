"""What figures, captions and tables call a setting and its value: one table, words.csv, for all of them.

A row of the table has a setting as studies spell it, a value, and the words for both together. An empty value gives
the words for the setting alone, such as a header or an axis label. ``*`` stands for any text, which goes to ``{}``.
Parts of a user's own, and their options, bring theirs as ``label`` in their header.
"""

import csv
import functools
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gengap.quantities import QUANTITIES
from gengap.registry import REGISTRY
from gengap.registry.entry import Option

_ANY = "*"


@functools.cache
def _table() -> dict[str, dict[str, str]]:
    """Words by setting and value, in the order of the file."""
    found: dict[str, dict[str, str]] = {}
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["setting"], {})[row["value"]] = row["words"]
    return found


def axis(name: str) -> str:
    """The words for a setting, or for a quantity with its symbol and unit: a header or an axis label.

    Args:
        name: Short name of an axis such as ``lr`` or ``model.width``, or of a quantity.
    """
    short = name.rpartition(".")[2]
    if words := _table().get(short, {}).get(""):
        return words
    if name in QUANTITIES:
        return QUANTITIES[name].axis
    option = _option(short)
    return (option.label if option else "") or short.replace("_", " ")


def setting(name: str, value: Any) -> str:
    """A setting with its value, as in a legend: ``batch size 128``, ``He init``, ``without BatchNorm``.

    Args:
        name: Short name of an axis.
        value: Its value; one that is off, None, is named so.
    """
    short, text = name.rpartition(".")[2], str(value)
    if words := _value(short, text):
        return words
    return f"no {axis(name)}" if text == "None" else f"{axis(name)} {text.replace('_', ' ')}"


def settings(values: Mapping[str, Any]) -> str:
    """Several settings, as the name of a group of networks."""
    return ", ".join(setting(name, value) for name, value in values.items())


def selected(cells: str) -> str:
    """What ``width=4,init=he`` selects, in words; a name of a cell, too."""
    pairs = [part.partition("=") for part in cells.split(",") if part]
    return ", ".join(setting(name, value) if sign else name for name, sign, value in pairs)


def value(name: str, own: Any) -> Any:
    """A value in a column whose header names its setting: numbers as they are, names in words."""
    if not isinstance(own, str) or _is_number(own):
        return "none" if own is None else own
    return _value(name.rpartition(".")[2], own) or own.replace("_", " ")


def joined(parts: Iterable[str]) -> str:
    """A list in a sentence: ``a, b and c``."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _value(short: str, text: str) -> str:
    """The words for a value of a setting; empty if there are none."""
    rows = _table().get(short, {})
    if label := _label(short, text):
        return label
    if text in rows and text:
        return rows[text]
    for pattern, words in rows.items():
        if _ANY in pattern and fnmatchcase(text, pattern) and not (text == "None" and pattern == _ANY):
            before, _, after = pattern.partition(_ANY)
            return words.format(text[len(before) : len(text) - len(after)].replace("_", " "))
    return ""


def _label(short: str, text: str) -> str:
    """What the header of a part calls it, where the setting is a part's name."""
    entry = REGISTRY[short].get(text) if short in REGISTRY else None
    return entry.label if entry else ""


def _option(name: str) -> Option | None:
    """The first part's option of this name that has a label."""
    entries = (entry for parts in REGISTRY.values() for entry in parts.values())
    options = (entry.options[name] for entry in entries if name in entry.options)
    return next((option for option in options if option.label), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
