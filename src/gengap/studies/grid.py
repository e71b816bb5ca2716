"""From a study's base and grid to its cells: every combination of values, named and checked."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import registry
from gengap.errors import UserError
from gengap.studies.axes import Axis, merge
from gengap.studies.options import check_reads
from gengap.studies.schema import Component
from gengap.studies.settings import ARM, Cell, allowed_options, leaf_names
from gengap.studies.validation import validate


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
                nested, point[ARM] = merge(base, arm.settings), arm.name
            where = f"{path}: " + (f"cell {cell_name(point)}: " if point else "base: ")
            cell, unused = _cell(merge(nested, _by_section(point)), fixed, sections, where)
            name = cell_name({axis: value_at(cell, axis) for axis in axes})
            bare = cell.model_copy(update={ARM: ""}) if arm else cell  # two names for one cell would train it twice
            if name in cells or bare in names:
                for axis in (axis for axis in unused if len(grid.get(axis, ())) > 1):
                    raise UserError(f"{path}: grid.{axis}: changes nothing, since {unused[axis]} Remove it.")
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


def _by_section(point: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a point, whose keys are dotted, by section."""
    nested: dict[str, Any] = {}
    for key, value in point.items():
        section, _, rest = key.partition(".")
        if rest:
            nested.setdefault(section, {})[rest] = value
        else:
            nested[section] = value
    return nested


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
