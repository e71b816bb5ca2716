"""The axes of a study's grid, and settings in all of their spellings: short, dotted and nested."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap.errors import UserError, nearest, spelled, unknown_name
from gengap.studies.schema import MOST_VALUES, write_out
from gengap.studies.settings import ARM, leaf_names

Axis = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """Settings that a grid varies together, under one name.

    Attributes:
        name: As it stands in the cells' names.
        settings: Plain data by section.
    """

    name: str
    settings: Mapping[str, Any]

    @property
    def keys(self) -> list[str]:
        """Dotted keys of its settings."""
        return [key for section, value in self.settings.items() for key in _settings_of(section, "", value)]


def undot(mapping: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Write ``section.key`` as a key of the section.

    Args:
        mapping: Settings in any of their spellings: ``init: he``, ``init.name: he`` and ``init: {name: he}``.
        where: File and key, for the message.

    Raises:
        UserError: If two spellings give the same key: neither may win unsaid.
    """
    nested: dict[str, Any] = {}
    written: dict[str, str] = {}
    for key, value in mapping.items():
        section, _, rest = str(key).partition(".")
        for dotted in _settings_of(section, rest, value):
            if dotted in written:
                raise UserError(
                    f"{where}: '{dotted}' is given twice, by '{written[dotted]}' and by '{key}'. Remove one."
                )
            written[dotted] = str(key)
        nested = merge(nested, {section: {rest: value} if rest else value})
    return nested


def _settings_of(section: str, rest: str, value: Any) -> Iterator[str]:
    """The dotted keys that one item of a mapping gives."""
    if not rest and isinstance(value, Mapping):
        yield from (f"{section}.{key}" for key in value)
    elif rest:
        yield f"{section}.{rest}"
    else:
        yield f"{section}.name" if f"{section}.name" in leaf_names() else section


def axis_key(key: str) -> str:
    """A grid's key in the spelling with a dot: ``init`` is ``init.name``."""
    return f"{key}.name" if f"{key}.name" in leaf_names() else key


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Replace key by key, at every depth; a component's name alone is its key ``name``."""
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[key] = merge(before, value)
        elif isinstance(before, str) and isinstance(value, Mapping):
            result[key] = {"name": before, **value}
        elif isinstance(before, Mapping) and isinstance(value, str) and "name" in before:
            result[key] = {**before, "name": value}
        else:
            result[key] = value
    return result


def read_grids(grid: Any, path: Path) -> list[Axis]:
    """Check a grid or a list of grids; a range such as ``0..9`` is written out.

    Raises:
        UserError: If one is empty, a key is unknown or given twice, or there are more cells than a study may have.
    """
    if grid == []:
        raise UserError(f"{path}: grid: is empty, so the study has no cell. Give dotted keys with lists of values.")
    checked = [_read_grid(one, path) for one in (grid if isinstance(grid, list) else [grid])]
    check_count([{key: len(values) for key, values in axes.items()} for axes in checked], "cells", path)
    return checked


def check_count(grids: Iterable[Mapping[str, int]], what: str, path: Path, *, most: int = MOST_VALUES) -> None:
    """Refuse grids of more combinations than a study may have, before one of them is made.

    Args:
        grids: How many values each axis has.
        what: What a combination is called.
        path: The file, for the message.
        most: How many there may be.
    """
    counts = list(grids)
    if (total := sum(math.prod(axes.values()) for axes in counts)) > most:
        worst = max(counts, key=lambda axes: math.prod(axes.values()))
        product = " x ".join(f"{count:,} of {key}" for key, count in worst.items() if count > 1)
        raise UserError(
            f"{path}: grid: has {total:,} {what} ({product}), and at most {most:,} are allowed. Give fewer values."
        )


def _read_grid(grid: Any, path: Path) -> Axis:
    if not isinstance(grid, Mapping):
        raise UserError(f"{path}: grid: must hold dotted keys with lists of values, got {spelled(grid)}.")
    axes: Axis = {}
    written: dict[str, str] = {}
    known = leaf_names()
    for key, values in grid.items():
        if (dotted := axis_key(key)) not in known:
            raise _no_key(key, known, f"{path}: grid", "grid key")
        if dotted in axes:
            raise UserError(
                f"{path}: grid: '{dotted}' is given twice, by '{written[dotted]}' and by '{key}'. Remove one."
            )
        written[dotted] = key
        axes[dotted] = (
            _read_arms(values, f"{path}: grid.arm") if key == ARM else read_axis(values, f"{path}: grid.{key}", "cell")
        )
    for arm in axes.get(ARM, ()):
        if both := [key for key in arm.keys if key in axes and key != ARM]:
            raise UserError(f"{path}: grid: '{both[0]}' is an axis, and the arm '{arm.name}' sets it too. Remove one.")
    return axes


def read_axis(values: Any, where: str, what: str) -> list[Any]:
    """The values of one axis of a grid.

    Args:
        values: A list or a range.
        where: File and key, for the message.
        what: What a combination is called.

    Raises:
        UserError: If there are none.
    """
    try:
        listed = write_out(values)
    except ValueError as error:
        raise UserError(f"{where}: {values} is not allowed: {error}.") from error
    if not isinstance(listed, list):
        instead = _as_list(values, where)
        raise UserError(f"{where}: must be a list of values or a range such as 0..9, got {spelled(values)}.{instead}")
    if not listed:
        raise UserError(f"{where}: is empty, so the study has no {what}. Give at least one value.")
    return listed


def _as_list(value: Any, where: str) -> str:
    """What to write in place of a single value, or of a section's keys."""
    if isinstance(value, Mapping) and value:
        return f" Give keys with a dot: {where.rpartition(': grid.')[2]}.{next(iter(value))}."
    return "" if value is None or isinstance(value, (str, Mapping)) else f" Write [{spelled(value)}]."


def _no_key(key: object, known: Iterable[str], where: str, what: str) -> UserError:
    """What to say of a key that no setting has; of a section, how its keys are written."""
    inside = [dotted for dotted in known if dotted.startswith(f"{key}.")]
    if inside:
        return UserError(f"{where}.{key}: is a section. Give its keys with a dot: {', '.join(inside)}.")
    section = str(key).partition(".")[0]
    beside = [dotted for dotted in known if dotted.startswith(f"{section}.")] if "." in str(key) else []
    meant = nearest(str(key), known)
    if beside and (not meant or meant in beside):  # of all sections' keys nobody reads a list
        return unknown_name(what, key, beside, where=where)
    return unknown_name(what, key, known, where=where)


def _read_arms(arms: Any, where: str) -> list[Arm]:
    if not isinstance(arms, Mapping) or not arms:
        raise UserError(f"{where}: must hold a name for each arm, and its settings by dotted key, got {spelled(arms)}.")
    known = leaf_names()
    sections = {key.split(".")[0] for key in known} - {ARM}
    for name, settings in arms.items():
        if not re.fullmatch(r"[\w.+-]+", str(name)):
            raise UserError(f"{where}: {name!r} is no name of an arm. Use letters, digits and . + - _")
        if not isinstance(settings, Mapping):
            raise UserError(
                f"{where}.{name}: must hold dotted keys and values, got {spelled(settings)}. {{}} changes nothing."
            )
        for key in settings:
            if key == ARM or (key not in known and key not in sections):
                raise unknown_name("setting", key, [one for one in known if one != ARM], where=f"{where}.{name}")
    return [Arm(str(name), undot(settings, f"{where}.{name}")) for name, settings in arms.items()]
