"""A study: one YAML file with base settings, a grid over dotted keys, probes, figures and tables."""

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from gengap import registry
from gengap.checking import read_yaml, validate
from gengap.errors import UserError, unknown_name
from gengap.settings import Cell, Component, Count, Settings, allowed_options, leaf_names

REDUCED = "-reduced"
Axis = dict[str, Any]


class Probe(Component):
    """A probe and when it measures."""

    epochs: Literal["snapshots", "last"] | Annotated[tuple[float, ...], Field(strict=False)] = Field(
        "snapshots", description="Which saved epochs to measure: all snapshots, only the last, or a list of them."
    )
    batchnorm: Literal["running", "batch", "exact"] = Field(
        "exact", description="BatchNorm statistics: running averages, each batch's own, or the whole training set's."
    )


class StudyFile(Settings):
    """The keys of a study file, except `reduced`, whose values replace these."""

    title: str = Field(description="One line for the report.")
    question: str = Field("", description="What the study asks.")
    source: str = Field("", description="The paper whose experiment it is.")
    base: Cell = Field(Cell(), description="Settings shared by all cells; see the sections below.")
    grid: Any = Field(
        {}, description="Dotted keys with lists of values; every combination is one cell. A list of grids is joined."
    )
    probes: Annotated[tuple[Probe, ...], Field(strict=False)] = Field((), description="Probes to measure.")
    figures: Annotated[tuple[str, ...], Field(strict=False)] = Field((), description="Figures to draw.")
    tables: Annotated[tuple[str, ...], Field(strict=False)] = Field((), description="Tables to write.")
    reference: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="Files of published numbers in config/reference, without .csv."
    )
    pack_size: Count = Field(64, description="Most cells trained together; changes no number.")
    full_on: Literal["any", "gpu"] = Field(
        "any",
        description="gpu: the full settings take days without a GPU, and `make run` takes the reduced ones there.",
    )


class Study(StudyFile):
    """A checked study.

    Attributes:
        name: File name without suffix, and `-reduced` for the reduced settings.
        reduced: Whether the `reduced` section was applied.
        cells: Every cell by its name, in the order of the grid.
    """

    name: str
    reduced: bool
    cells: dict[str, Cell]
    axes: tuple[str, ...]


class Config(Settings):
    """The keys of config/config.yaml."""

    studies: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    data_root: str
    device: Literal["auto", "cpu", "cuda"]
    container: str


def load_study(path: Path, *, reduced: bool = False) -> Study:
    """Read and check one study file.

    Args:
        path: The YAML file.
        reduced: Apply the file's `reduced` section.

    Raises:
        UserError: If anything is wrong with it; the message names file, key and value.
    """
    content = read_yaml(path)
    overrides = content.pop("reduced", None)
    if reduced:
        if not isinstance(overrides, Mapping):
            raise UserError(
                f"{path}: reduced: there are no reduced settings in this study. Run it without '{REDUCED}'."
            )
        content = _override(content, overrides)
    if content.get("base") is not None:
        content["base"] = _nest(content["base"], path)
    file = validate(StudyFile, content, f"{path}: ")
    for kind, names in (("probe", [p.name for p in file.probes]), ("figure", file.figures), ("table", file.tables)):
        for entry in names:
            registry.check(kind, entry, where=f"{path}: {kind}s")
            if list(names).count(entry) > 1:
                raise UserError(f"{path}: {kind}s: '{entry}' appears twice. Remove one.")
    grids = _grids(file.grid, path)
    axes = tuple(dict.fromkeys(key for grid in grids for key in grid))
    base = _nest(content.get("base") or {}, path)
    cells = _expand(base, grids, axes, path)
    name = path.stem + (REDUCED if reduced else "")
    study = Study.model_construct(
        **{key: getattr(file, key) for key in StudyFile.model_fields},
        name=name,
        reduced=reduced,
        cells=cells,
        axes=axes,
    )
    _check_probe_epochs(study, path)
    return study


def load_studies(folder: Path) -> dict[str, Study]:
    """Read every study of a folder, full and reduced, by name."""
    studies: dict[str, Study] = {}
    for path in sorted(folder.glob("*.yaml")):
        studies[path.stem] = load_study(path)
        if "reduced" in read_yaml(path):
            studies[path.stem + REDUCED] = load_study(path, reduced=True)
    if not studies:
        raise UserError(f"{folder}: no study found. Put one YAML file per study there; see docs/adding.md.")
    return studies


def check_config(content: Mapping[str, Any], studies: Mapping[str, Study], path: Path) -> None:
    """Check the workflow's configuration.

    Args:
        content: Its keys and values.
        studies: The studies that exist.
        path: Its file, for the message.

    Raises:
        UserError: If a key, a value or a study's name is wrong.
    """
    for name in validate(Config, content, f"{path}: ").studies:
        if name not in studies:
            raise unknown_name("study", name, studies, where=f"{path}: studies")


def check_references(studies: Mapping[str, Study], folder: Path) -> None:
    """Check that the published numbers that studies compare with are there.

    Raises:
        UserError: If a study names a file that `folder` lacks.
    """
    known = [path.stem for path in folder.glob("*.csv")]
    for study in studies.values():
        for name in study.reference:
            if name not in known:
                where = f"config/studies/{study.name.removesuffix(REDUCED)}.yaml: reference"
                raise unknown_name("file of published numbers", name, known, where=where)


def find_study(studies: Mapping[str, Study], name: str) -> Study:
    """Return a study by name, or raise an error that lists the names."""
    if name not in studies:
        raise unknown_name("study", name, studies)
    return studies[name]


def cell_name(values: Mapping[str, Any]) -> str:
    """Spell grid values as in ``width=4,init=he,lr=0.1,seed=0``; without axes the cell is ``base``."""
    short = leaf_names()
    return ",".join(f"{short[key]}={_spell(value)}" for key, value in values.items()) or "base"


def axis_names(study: Study) -> tuple[str, ...]:
    """Short names of a study's grid axes, as in its cells' names and columns."""
    short = leaf_names()
    return tuple(short[axis] for axis in study.axes)


def axis_values(study: Study, cell: Cell) -> dict[str, Any]:
    """A cell's value on every grid axis of the study, by short name."""
    return {short: _spell_or_value(_get(cell, axis)) for short, axis in zip(axis_names(study), study.axes, strict=True)}


def _override(content: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a `reduced` section: `base` and a plain `grid` key by key, every other key whole."""
    result = dict(content)
    for key, value in overrides.items():
        old = result.get(key)
        if key in ("base", "grid") and isinstance(value, Mapping) and isinstance(old, Mapping):
            result[key] = _override_base(_undot(old), _undot(value)) if key == "base" else {**old, **value}
        else:
            result[key] = value
    return result


def _override_base(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge, but a section that names another component starts afresh: the old one's options mean nothing to it."""
    renamed = {
        key for key, value in new.items() if isinstance(value, str) or (isinstance(value, Mapping) and "name" in value)
    }
    return _merge({key: value for key, value in old.items() if key not in renamed}, new)


def _undot(mapping: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in mapping.items():
        section, _, rest = str(key).partition(".")
        nested = _merge(nested, {section: {rest: value} if rest else value})
    return nested


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[key] = _merge(before, value)
        elif isinstance(before, str) and isinstance(value, Mapping):
            result[key] = {"name": before, **value}
        elif isinstance(before, Mapping) and isinstance(value, str) and "name" in before:
            result[key] = {**before, "name": value}
        else:
            result[key] = value
    return result


def _nest(base: Any, path: Path) -> dict[str, Any]:
    if not isinstance(base, Mapping):
        raise UserError(f"{path}: base: must hold keys and values, got {base!r}.")
    return _undot(base)


def _grids(grid: Any, path: Path) -> list[Axis]:
    """Check a grid or a list of grids; a range such as ``0..9`` is written out."""
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
            listed = _write_out(values)
            if not isinstance(listed, list):
                raise UserError(
                    f"{path}: grid.{key}: must be a list of values or a range such as 0..9, got {values!r}."
                )
            if not listed:
                raise UserError(f"{path}: grid.{key}: is empty, so the study has no cell. Give at least one value.")
            axes[key if key in known else f"{key}.name"] = listed
        checked.append(axes)
    return checked


def _write_out(values: Any) -> Any:
    if isinstance(values, str) and (match := re.fullmatch(r"(\d+)\.\.(\d+)", values)):
        return list(range(int(match[1]), int(match[2]) + 1))
    return values


def _expand(base: dict[str, Any], grids: list[Axis], axes: tuple[str, ...], path: Path) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    identities: dict[str, str] = {}
    ignored: list[dict[str, str]] = []
    for grid in grids:
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            where = f"{path}: " + (f"cell {cell_name(point)}: " if point else "base: ")
            nested: dict[str, Any] = base
            for key, value in point.items():
                nested = _merge(nested, _undot({key: value}))
            cell = validate(Cell, nested, where)
            unused = _unused_options(nested, cell, where)
            ignored.append(unused)
            if unused:
                cell = validate(Cell, _without(nested, unused), where)
            name = cell_name({axis: _get(cell, axis) for axis in axes})
            identity = repr(sorted(cell.identity().items()))
            if name in cells or identity in identities:
                raise UserError(
                    f"{path}: grid: the cell '{name}' appears twice"
                    f"{'' if name in cells else f', also as {identities[identity]!r}'}. "
                    "Remove the repeated value."
                )
            cells[name] = cell
            identities[identity] = name
    # An option is wrong only if no cell reads it: a grid over names may give each its own options.
    for key in set.intersection(*(set(unused) for unused in ignored)):
        raise UserError(f"{path}: {key}: {ignored[0][key]}")
    return cells


def _unused_options(nested: Mapping[str, Any], cell: Cell, where: str) -> dict[str, str]:
    """Dotted keys that were given but that the named component does not read, each with what to say of it."""
    unused: dict[str, str] = {}
    for section, settings in cell:
        if not isinstance(settings, Component):
            continue
        registry.check(section, settings.name, where=f"{where}{section}")
        given = nested.get(section, {})
        options = allowed_options(section, settings.name)
        for key in given if isinstance(given, Mapping) else ():
            if key != "name" and key not in options:
                uses = ", ".join(options) if options else "no options"
                unused[f"{section}.{key}"] = f"'{settings.name}' does not use it. It uses: {uses}."
    return unused


def _without(nested: Mapping[str, Any], dotted: Iterable[str]) -> dict[str, Any]:
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in nested.items()}
    for key in dotted:
        section, _, option = key.partition(".")
        del result[section][option]
    return result


def _check_probe_epochs(study: Study, path: Path) -> None:
    for probe in study.probes:
        if isinstance(probe.epochs, str):
            continue
        for cell in study.cells.values():
            saved = {*cell.training.snapshots, 0.0, float(cell.training.epochs)}
            if missing := sorted(set(probe.epochs) - saved):
                raise UserError(
                    f"{path}: probes: '{probe.name}' asks for epoch {missing[0]:g}, at which no weights are kept. "
                    f"Add it to base.training.snapshots or choose from: {', '.join(f'{e:g}' for e in sorted(saved))}."
                )


def _get(cell: Cell, dotted: str) -> Any:
    value: Any = cell
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def _spell(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "+".join(_spell(item) for item in value)
    return str(value)


def _spell_or_value(value: Any) -> Any:
    return _spell(value) if isinstance(value, (tuple, list)) else value
