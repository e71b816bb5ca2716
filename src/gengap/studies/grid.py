"""From a study's base and grid to its cells: every combination of values, named and checked."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import registry
from gengap.errors import UserError, unknown_name
from gengap.studies.options import check_reads
from gengap.studies.schema import Component, write_out
from gengap.studies.settings import ARM, Cell, allowed_options, leaf_names
from gengap.studies.validation import validate

Axis = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """Settings that a grid varies together, under one name.

    Attributes:
        name: As it stands in the cells' names.
        settings: Values by dotted key.
    """

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class _Section:
    """A checked section of a cell.

    Attributes:
        settings: Its settings, without the options that the named component does not read.
        unused: Dotted keys of those options, each with what to say of it.
    """

    settings: Any
    unused: dict[str, str]


def cell_name(values: Mapping[str, Any]) -> str:
    """Spell grid values as in ``width=4,init=he,lr=0.1,seed=0``; without axes the cell is ``base``."""
    short = leaf_names()
    return ",".join(f"{short[key]}={format_value(value)}" for key, value in values.items()) or "base"


def format_value(value: Any) -> str:
    """A value as it stands in a cell's name; the items of a list are joined by ``+``."""
    if isinstance(value, (tuple, list)):
        return "+".join(format_value(item) for item in value)
    return str(value)


def value_at(cell: Cell, dotted: str) -> Any:
    """A cell's value at a dotted key; None for an option that only another part of the kind has."""
    value: Any = cell
    for part in dotted.split("."):
        value = getattr(value, part, None)
    return value


def undot(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``section.key`` as a key of the section."""
    nested: dict[str, Any] = {}
    for key, value in mapping.items():
        section, _, rest = str(key).partition(".")
        nested = merge(nested, {section: {rest: value} if rest else value})
    return nested


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Replace key by key, at every depth; a component's name without options is its key ``name``."""
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
        UserError: If one is empty, or a key is unknown.
    """
    if grid == []:
        raise UserError(f"{path}: grid: is empty, so the study has no cell. Give dotted keys with lists of values.")
    grids = grid if isinstance(grid, list) else [grid]
    checked: list[Axis] = []
    known = leaf_names()
    sections = {key.split(".")[0] for key in known}
    for one in grids:
        if not isinstance(one, Mapping):
            raise UserError(f"{path}: grid: must hold dotted keys with lists of values, got {one!r}.")
        axes: Axis = {}
        for key, values in one.items():
            if key not in known and key not in sections:
                raise unknown_name("grid key", key, known, where=f"{path}: grid")
            if key == ARM:
                axes[ARM] = _read_arms(values, f"{path}: grid.arm")
                continue
            listed = write_out(values)
            if not isinstance(listed, list):
                raise UserError(
                    f"{path}: grid.{key}: must be a list of values or a range such as 0..9, got {values!r}."
                )
            if not listed:
                raise UserError(f"{path}: grid.{key}: is empty, so the study has no cell. Give at least one value.")
            axes[key if key in known else f"{key}.name"] = listed
        checked.append(axes)
    return checked


def _read_arms(arms: Any, where: str) -> list[Arm]:
    if not isinstance(arms, Mapping) or not arms:
        raise UserError(f"{where}: must hold a name for each arm, and its settings by dotted key, got {arms!r}.")
    known = leaf_names()
    sections = {key.split(".")[0] for key in known} - {ARM}
    for name, settings in arms.items():
        if not re.fullmatch(r"[\w.+-]+", str(name)):
            raise UserError(f"{where}: {name!r} is no name of an arm. Use letters, digits and . + - _")
        if not isinstance(settings, Mapping):
            raise UserError(
                f"{where}.{name}: must hold dotted keys and values, got {settings!r}. {{}} changes nothing."
            )
        for key in settings:
            if key not in known and key not in sections:
                raise unknown_name("setting", key, known, where=f"{where}.{name}")
    return [Arm(str(name), settings) for name, settings in arms.items()]


def expand(base: dict[str, Any], grids: list[Axis], axes: tuple[str, ...], path: Path) -> dict[str, Cell]:
    """Make and check every cell of a study.

    Args:
        base: Settings shared by all cells, plain data by section.
        grids: What `read_grids` returned.
        axes: Dotted keys of all grids, which name the cells.
        path: The study's file, for messages.

    Returns:
        The cells by name, in the order of the grids.

    Raises:
        UserError: If a cell's settings are wrong, a cell appears twice, or no cell reads an option that was given.
    """
    cells: dict[str, Cell] = {}
    names: dict[Cell, str] = {}
    sections: dict[tuple[str, str], _Section] = {}
    ignored: list[dict[str, str]] = []
    for grid in grids:
        varied = {key.partition(".")[0] for key in (*grid, *(key for arm in grid.get(ARM, ()) for key in arm.settings))}
        fixed = {section: repr(content) for section, content in base.items() if section not in varied}
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            nested = base
            if arm := point.get(ARM):
                nested, point[ARM] = merge(base, undot(arm.settings)), arm.name
            where = f"{path}: " + (f"cell {cell_name(point)}: " if point else "base: ")
            cell, unused = _cell(merge(nested, undot(point)), fixed, sections, where)
            name = cell_name({axis: value_at(cell, axis) for axis in axes})
            bare = cell.model_copy(update={ARM: ""}) if arm else cell  # two names for one cell would train it twice
            if name in cells or bare in names:
                raise UserError(
                    f"{path}: grid: the cell '{name}' appears twice"
                    f"{'' if name in cells else f', also as {names[bare]!r}'}. "
                    "Remove the repeated value."
                )
            cells[name], names[bare] = cell, name
            if unused not in ignored:
                ignored.append(unused)
    # An option is wrong only if no cell reads it: a grid over names may give each its own options.
    for key in set.intersection(*(set(unused) for unused in ignored)):
        raise UserError(f"{path}: {key}: {ignored[0][key]}")
    return cells


def _cell(
    nested: Mapping[str, Any], fixed: Mapping[str, str], sections: dict[tuple[str, str], _Section], where: str
) -> tuple[Cell, dict[str, str]]:
    """Check one cell.

    Args:
        nested: Its settings, plain data by section.
        fixed: What sections print as that all cells of the grid share.
        sections: Sections checked so far, by name and by what they print as. A study of thousands of cells has a few
            dozen: each is checked once, and the cells share it.
        where: For messages.

    Returns:
        The cell, and the options that it does not read, each with what to say of it.
    """
    keys = {section: (section, fixed.get(section) or repr(content)) for section, content in nested.items()}
    if any(key not in sections for key in keys.values()):
        checked = validate(Cell, nested, where)  # the whole cell, so that every mistake is told at once
        for section, settings in checked:
            if section in keys and keys[section] not in sections:
                sections[keys[section]] = _section(section, settings, nested[section], where)
    found = {section: sections[key] for section, key in keys.items()}
    unused = {key: why for section in found.values() for key, why in section.unused.items()}
    return validate(Cell, {section: checked.settings for section, checked in found.items()}, where), unused


def _section(section: str, settings: Any, content: Any, where: str) -> _Section:
    """Check a component's name, and part the options it reads from those it does not."""
    if not isinstance(settings, Component):
        return _Section(settings, {})
    registry.check(section, settings.name, where=f"{where}{section}")
    check_reads(type(settings), settings.name)
    options = allowed_options(section, settings.name)
    given: Iterable[str] = content if isinstance(content, Mapping) else ()
    unused = [key for key in given if key != "name" and key not in options]
    if unused:
        read = {key: value for key, value in content.items() if key not in unused}
        settings = getattr(validate(Cell, {section: read}, where), section)
    why = f"'{settings.name}' does not use it. It uses: {', '.join(options) if options else 'no options'}."
    return _Section(settings, {f"{section}.{key}": why for key in unused})
