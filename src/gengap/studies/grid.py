"""From a study's base and grid to its cells: every combination of values, named and checked."""

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import registry
from gengap.errors import UserError
from gengap.studies.axes import Axis, merge
from gengap.studies.options import check_reads
from gengap.studies.schema import Component
from gengap.studies.settings import ARM, Cell, allowed_options, leaf_names, not_used
from gengap.studies.validation import validate


@dataclass(frozen=True)
class _Section:
    """A checked section of a cell.

    Attributes:
        settings: Its settings, without the options that the named component does not read.
        unused: Dotted keys of those options, each with what to say of it.
        named: How its axes stand in the cell's name, by dotted key.
    """

    settings: Any
    unused: dict[str, str]
    named: dict[str, str]


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
    return _value(cell, dotted.split("."))


def values_of(cells: Iterable[Cell], dotted: str) -> set[str]:
    """The different values at a dotted key, as they stand in names; cells share sections, so each is asked once."""
    section, *keys = dotted.split(".")
    sections = {id(settings): settings for settings in (getattr(cell, section) for cell in cells)}
    return {format_value(_value(settings, keys)) for settings in sections.values()}


def different(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Of the cells of a study that differ in their seed and arm alone, the first; thousands may be alike so."""
    first: dict[tuple[int, ...], str] = {}
    for name, cell in cells.items():
        first.setdefault(cell.sections(), name)
    return {name: cells[name] for name in first.values()}


def expand(base: dict[str, Any], grids: list[Axis], axes: tuple[str, ...], path: Path) -> dict[str, Cell]:
    """Make and check every cell of a study.

    Args:
        base: Settings shared by all cells, plain data by section.
        grids: What `read_grids` returned.
        axes: Dotted keys of all grids, which name the cells.
        path: The study's file, for messages.

    Returns:
        The cells by name, in the order of the grids. Sections that are equal are one object.

    Raises:
        UserError: If a cell's settings are wrong, a cell appears twice, or no cell reads an option that was given.
    """
    cells: dict[str, Cell] = {}
    names: dict[tuple[int, ...], str] = {}
    ignored: list[dict[str, str]] = []
    sections = _Sections(axes)
    named = [(axis.partition(".")[0], axis) for axis in axes]
    empty = Cell.model_construct(_fields_set=set(Cell.model_fields))
    for grid in grids:
        places = _places(grid)
        pick = {section: operator.itemgetter(*at) for section, at in places.items()}
        fixed = {section: repr(content) for section, content in base.items() if section not in places}
        # A study of many thousands of cells has a few dozen different sections: each is found by its place in the grid.
        known: dict[tuple[str, Any], _Section] = {}
        parts: dict[str, _Section] = {}
        for picked in itertools.product(*(range(len(values)) for values in grid.values())):
            keys = {section: (section, its(picked)) for section, its in pick.items()}
            if not parts or any(key not in known for key in keys.values()):
                parts = sections.of(base, _point(grid, picked), fixed, path)
                known |= {key: parts[section] for section, key in keys.items()}
            else:  # the sections that the grid leaves alone are those of the point before
                parts |= {section: known[key] for section, key in keys.items()}
            unused = {key: why for section in parts.values() for key, why in section.unused.items()}
            name = ",".join([parts[section].named[axis] for section, axis in named]) or "base"
            bare = tuple(id(section.settings) for key, section in parts.items() if key != ARM)
            if name in cells or bare in names:  # two names for one cell would train it twice
                for axis in (axis for axis in unused if len(grid.get(axis, ())) > 1):
                    raise UserError(f"{path}: grid.{axis}: changes nothing, since {unused[axis]} Remove it.")
                raise UserError(
                    f"{path}: grid: the cell '{name}' appears twice"
                    f"{'' if name in cells else f', also as {names[bare]!r}'}. "
                    "Remove the repeated value."
                )
            # Every section was checked, and a cell has no other rules. To copy a cell is faster than to make one.
            cells[name] = empty.model_copy(update={key: section.settings for key, section in parts.items()})
            names[bare] = name
            if unused not in ignored:
                ignored.append(unused)
    # An option is wrong only if no cell reads it: a grid over names may give each its own options.
    for key in set.intersection(*(set(unused) for unused in ignored)):
        raise UserError(f"{path}: {key}: {ignored[0][key]}")
    return cells


def _places(grid: Axis) -> dict[str, tuple[int, ...]]:
    """Which axes of a grid, by their place, change each section; an arm changes those that any arm sets."""
    places: dict[str, tuple[int, ...]] = {}
    for at, key in enumerate(grid):
        changed = [key, *(one for arm in grid[ARM] for one in arm.settings)] if key == ARM else [key]
        for section in {one.partition(".")[0] for one in changed}:
            places[section] = (*places.get(section, ()), at)
    return places


def _point(grid: Axis, picked: Sequence[int]) -> dict[str, Any]:
    """The values of a grid's axes at these places."""
    return {axis: values[at] for (axis, values), at in zip(grid.items(), picked, strict=True)}


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


class _Sections:
    """The checked sections of a study; equal ones are one object.

    Args:
        axes: Dotted keys of the study's axes.
    """

    def __init__(self, axes: Iterable[str]) -> None:
        self._axes = {axis: axis.split(".") for axis in axes}
        self._short = leaf_names()
        self._printed: dict[tuple[str, str], _Section] = {}  # by name and by what they print as
        self._equal: dict[tuple[str, Any], Any] = {}

    def of(
        self, base: Mapping[str, Any], point: dict[str, Any], fixed: Mapping[str, str], path: Path
    ) -> dict[str, _Section]:
        """Check one cell.

        Args:
            base: Settings shared by all cells, plain data by section.
            point: Its values on the axes of its grid.
            fixed: What sections print as that all cells of the grid share.
            path: The study's file, for messages.

        Returns:
            Every section of the cell by name.
        """
        own = base
        if arm := point.get(ARM):
            base, point[ARM] = merge(base, arm.settings), arm.name
        nested = merge(base, _by_section(point))
        keys = {section: (section, fixed.get(section) or repr(content)) for section, content in nested.items()}
        if any(key not in self._printed for key in keys.values()):
            where = f"{path}: " + (f"cell {cell_name(point)}: " if point else "base: ")
            checked = validate(Cell, nested, where)  # the whole cell, so that every mistake is told at once
            for section, settings in checked:
                if section in keys and keys[section] not in self._printed:
                    shared = nested[section] == own.get(section)  # a mistake in it is in `base`, not in one cell
                    at = f"{path}: base." if shared else where
                    self._printed[keys[section]] = self._section(section, settings, nested[section], at)
        return {
            name: self._printed[keys[name]] if name in keys else self._named(name, field.default, {})
            for name, field in Cell.model_fields.items()
        }

    def _section(self, section: str, settings: Any, content: Any, where: str) -> _Section:
        """Check a component's name, and part the options it reads from those it does not."""
        if not isinstance(settings, Component):
            return self._named(section, settings, {})
        registry.check(section, settings.name, where=f"{where}{section}")
        check_reads(type(settings), settings.name)
        options = allowed_options(section, settings.name)
        given: Iterable[str] = content if isinstance(content, Mapping) else ()
        unused = [key for key in given if key != "name" and key not in options]
        if unused:
            read = {key: value for key, value in content.items() if key not in unused}
            settings = getattr(validate(Cell, {section: read}, where), section)
        why = {f"{section}.{key}": not_used(section, settings.name, key, type(settings).model_fields) for key in unused}
        return self._named(section, settings, why)

    def _named(self, section: str, settings: Any, unused: dict[str, str]) -> _Section:
        settings = self._equal.setdefault((section, settings), settings)
        values = {axis: _value(settings, keys) for axis, (of, *keys) in self._axes.items() if of == section}
        named = {axis: f"{self._short[axis]}={format_value(value)}" for axis, value in values.items()}
        return _Section(settings, unused, named)


def _value(settings: Any, keys: Iterable[str]) -> Any:
    """What settings have under a key of a key; None where they lack one."""
    for key in keys:
        settings = getattr(settings, key, None)
    return settings
