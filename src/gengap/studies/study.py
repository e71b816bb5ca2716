"""A study: one YAML file with base settings, a grid over dotted keys, probes, figures and tables."""

import copy
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from gengap import registry
from gengap.errors import UserError, did_you_mean, enumerated, nearest, spelled, unknown_name
from gengap.registry import plugins
from gengap.studies.axes import axis_key, merge, read_grids, undot
from gengap.studies.chains import linked
from gengap.studies.consistency import check_probe_epochs, check_snapshots, check_streams, check_teachers
from gengap.studies.grid import expand, format_value, value_at, values_of
from gengap.studies.names import REDUCED, check_part_names, check_study_name, study_files
from gengap.studies.reading import read_yaml
from gengap.studies.sampling import written_out
from gengap.studies.schema import Component, Count, Line, Names, Settings, SomeEpochs, Text
from gengap.studies.scoreboard import SCOREBOARDS, SEED, Scoreboard, check_scoreboard
from gengap.studies.settings import ARM, Cell, leaf_names
from gengap.studies.validation import (
    check_changed,
    check_once,
    check_parts,
    check_reduced,
    check_renamed,
    reduced_section,
    validate,
)

T = TypeVar("T")


class Probe(Component):
    """A probe and when it measures."""

    kind = "probe"
    epochs: Literal["snapshots", "last"] | SomeEpochs = Field(
        "snapshots", description="Which saved epochs to measure: all snapshots, only the last, or a list of them."
    )
    batchnorm: Literal["running", "batch", "exact"] = Field(
        "exact", description="BatchNorm statistics: running averages, each batch's own, or the whole training set's."
    )
    samples: Count | None = Field(
        None, description="How many training images the probe reads, the first ones; null reads all."
    )


class Figure(Component):
    """A figure to draw."""

    kind = "figure"


class Table(Component):
    """A table to write."""

    kind = "table"


Figures = Annotated[tuple[Figure, ...], Field(strict=False)]
Tables = Annotated[tuple[Table, ...], Field(strict=False)]


def _every_probe(probes: Any) -> Any:
    """Write out `all`, which needs no change where a probe is new; a user's own are left to the user."""
    if probes != "all":
        return probes
    ours = {name: entry for name, entry in registry.REGISTRY["probe"].items() if not entry.external}
    return [{"name": name, **(entry.picture.settings if entry.picture else {})} for name, entry in ours.items()]


def _list_or_all(schema: dict[str, Any]) -> None:
    listed = {"type": schema.pop("type"), "items": schema.pop("items")}
    schema["anyOf"] = [listed, {"const": "all"}]


class Until(Settings):
    """How well a quantity is to be known."""

    quantity: str = Field("test_accuracy", description="A final value of the networks.")
    half_width: float = Field(gt=0, description="Of the 95 % interval of every group's mean, in the unit of figures.")
    most: Count = Field(20, description="The largest number of seeds.")


class StudyFile(Settings):
    """The keys of a study file, except `reduced`, whose values replace these."""

    title: Line = Field(description="One line for the report.")
    question: Text = Field("", description="What the study asks.")
    source: Text = Field("", description="The paper whose experiment it is.")
    choices: Names = Field(
        (), description="What the source leaves open and is fixed here, one sentence each; the report quotes them."
    )
    base: Cell = Field(Cell(), description="Settings shared by all cells; see the sections below.")
    grid: Any = Field(
        {},
        description="Dotted keys with lists of values; every combination is one cell. With `sample`, points of ranges "
        "(docs/adding.md). A list of grids is joined.",
    )
    probes: Annotated[tuple[Probe, ...], BeforeValidator(_every_probe), Field(strict=False)] = Field(
        (),
        description="Probes to measure; all: every one of docs/probes.md, as its picture there shows it.",
        json_schema_extra=_list_or_all,
    )
    figures: Figures = Field((), description="Figures to draw.")
    tables: Tables = Field((), description="Tables to write.")
    published: Names = Field((), description="Files of published numbers in config/published, without .csv.")
    scoreboard: Scoreboard | None = Field(
        None,
        description="Judge which measures explain the generalization gap; adds the figure and the table `scoreboard`.",
    )
    until: Until | None = Field(
        None, description="`gengap grow` adds seeds until the interval of every group's mean is narrow enough."
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


def load_study(path: Path, *, reduced: bool = False) -> Study:
    """Read and check one study file.

    Args:
        path: The YAML file.
        reduced: Apply the file's `reduced` section.

    Raises:
        UserError: If anything is wrong with it; the message names file, key and value.
    """
    check_study_name(path.stem, str(path))
    return _checked(path, read_yaml(path), reduced=reduced)


def _checked(path: Path, content: dict[str, Any], *, reduced: bool = False) -> Study:
    """Check what a study file holds, with its `reduced` section applied or left out."""
    if "reduced" in content:
        check_reduced(content["reduced"], path)
    overrides = content.pop("reduced", None)
    if not reduced:
        study = _study(content, path, reduced=False)
        check_snapshots(study, path)
        return study
    if overrides is None:
        raise UserError(f"{path}: reduced: there are no reduced settings in this study. Run it without '{REDUCED}'.")
    with reduced_section(path):
        check_renamed(overrides, path)
        replaced = _override(content, overrides, path)
        check_changed(_override(content, {"base": {}}, path), replaced, path)
        study = _study(replaced, path, reduced=True)
        check_snapshots(study, path, among=frozenset(_snapshots(overrides)))
        return study


def _snapshots(content: Any) -> Iterator[float]:
    """The epochs that are written below any key `snapshots`."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if str(key).rpartition(".")[2] == "snapshots":
            yield from _numbers(value)
        else:
            yield from _snapshots(value)


def _numbers(values: Any) -> Iterator[float]:
    """The numbers in lists of any depth."""
    if isinstance(values, (int, float)):
        yield float(values)
    for value in values if isinstance(values, (list, tuple)) else ():
        yield from _numbers(value)


def load_studies(folder: Path, only: Container[str] | None = None) -> dict[str, Study]:
    """Read the studies of a folder, full and reduced, by name.

    Args:
        folder: The folder.
        only: Names of those to be read; None: all. Files of no such name are not opened.

    Raises:
        UserError: If one of them is wrong, or there is none in the folder.
    """
    studies: dict[str, Study] = {}
    files = study_files(folder)
    if not files:
        raise UserError(f"{folder}: no study found. Put one YAML file per study there; see docs/adding.md.")
    for path in files:
        check_study_name(path.stem, str(path))
        full, reduced = (only is None or name in only for name in (path.stem, path.stem + REDUCED))
        if not full and not reduced:
            continue
        content = read_yaml(path)
        if full:
            studies[path.stem] = _checked(path, copy.deepcopy(content))
        if reduced and "reduced" in content:
            studies[path.stem + REDUCED] = _checked(path, content, reduced=True)
    return studies


def find_study(studies: Mapping[str, T], name: str) -> T:
    """Return a study by name, or raise an error that lists the names."""
    if name not in studies:
        raise unknown_name("study", name, studies)
    return studies[name]


def axis_names(study: Study) -> tuple[str, ...]:
    """Short names of a study's grid axes, as in its cells' names and columns."""
    short = leaf_names()
    return tuple(short[axis] for axis in study.axes)


def axis_values(study: Study, cell: Cell) -> dict[str, Any]:
    """A cell's value on every grid axis of the study, by short name."""
    return {
        short: _spell_or_value(value_at(cell, axis)) for short, axis in zip(axis_names(study), study.axes, strict=True)
    }


def _study(content: dict[str, Any], path: Path, *, reduced: bool) -> Study:
    """Check the content of a study file, in which `reduced` was applied or left out."""
    check_renamed(content, path)
    _find_own(content)
    if content.get("base") is not None:
        content["base"] = _nest(content["base"], path)
    file = validate(StudyFile, content, f"{path}: ", also=() if reduced else ("reduced",))
    for kind, parts in (("probe", file.probes), ("figure", file.figures), ("table", file.tables)):
        given = content.get(f"{kind}s") or ()
        check_parts(kind, _every_probe(given) if kind == "probe" else given, parts, path)
        check_part_names(kind, [part.name for part in parts], f"{path}: {kind}s")
    check_once(file.published, f"{path}: published")
    _check_batchnorm(file.probes, path)
    for figure in file.figures:
        if simulation := registry.check("figure", figure.name).simulation:
            raise UserError(
                f"{path}: figures: '{figure.name}' only plots simulation '{simulation}'; remove it from this study."
            )
    _check_probes_once(file.probes, path)
    grids = read_grids(written_out(file.grid, path), path)
    axes = tuple(dict.fromkeys(key for grid in grids for key in grid))
    base = _nest(content.get("base") or {}, path)
    cells = linked(expand(base, grids, axes, path), axes, path)
    name = path.stem + (REDUCED if reduced else "")
    own = {key: getattr(file, key) for key in StudyFile.model_fields}
    listed = {*(figure.name for figure in file.figures), *(table.name for table in file.tables)}
    if file.scoreboard or listed & SCOREBOARDS:  # without the section, they are made with its defaults
        _check_scoreboard(file, cells, axes, path)
    if file.scoreboard and "scoreboard" not in [figure.name for figure in file.figures]:
        own["figures"] = (*file.figures, Figure(name="scoreboard"))
    if file.scoreboard and "scoreboard" not in [table.name for table in file.tables]:
        own["tables"] = (*file.tables, Table(name="scoreboard"))
    study = Study.model_construct(
        **own,
        name=name,
        reduced=reduced,
        cells=cells,
        axes=axes,
    )
    check_teachers(study, path)
    _check_axis_options(study, path)
    check_streams(study, path)
    check_probe_epochs(study, path)
    return study


def _find_own(content: Any, section: str = "") -> None:
    """Make the registry know the parts that a study names by their import paths, so that their options are keys."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            first = str(key).partition(".")[0]
            _find_own(value, first if first in registry.REGISTRY else section)
    elif isinstance(content, list):
        for value in content:
            _find_own(value, section)
    elif section and isinstance(content, str) and plugins.find(content):
        registry.check(section, content)


def _check_scoreboard(file: StudyFile, cells: Mapping[str, Cell], axes: Sequence[str], path: Path) -> None:
    """Refuse a scoreboard of too few configurations, or of what the study does not measure."""
    short = leaf_names()
    design = [axis for axis in axes if axis != SEED]
    sections = {axis.partition(".")[0] for axis in design}
    different = {tuple(id(getattr(cell, one)) for one in sections): cell for cell in cells.values()}
    configurations = {tuple(str(value_at(cell, axis)) for axis in design) for cell in different.values()}
    check_scoreboard(
        file.scoreboard or Scoreboard(),
        [short.get(axis, axis) for axis in axes],
        len(configurations),
        [probe.name for probe in file.probes],
        path,
    )


def _override(content: dict[str, Any], overrides: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Apply a `reduced` section: `base` and a plain `grid` key by key, every other key whole."""
    result = dict(content)
    for key, value in overrides.items():
        old = result.get(key)
        if key == "base" and isinstance(value, Mapping) and isinstance(old, Mapping):
            result[key] = _override_base(undot(old, f"{path}: base"), undot(value, f"{path}: reduced.base"))
        elif key == "grid" and isinstance(value, Mapping) and isinstance(old, Mapping):
            new: dict[str, str] = {axis_key(axis): axis for axis in value}
            spelled: dict[str, Any] = {new.get(axis_key(str(axis)), str(axis)): values for axis, values in old.items()}
            result[key] = {**spelled, **value}  # a replaced axis keeps its place, by which cells are named
        else:
            result[key] = value
    return result


def _override_base(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge, but a section that names another component loses the old one's options."""

    def named(section: Any) -> Any:
        return section.get("name") if isinstance(section, Mapping) else section

    renamed = set()
    for key, value in new.items():
        default = Cell.model_fields[key].default if key in Cell.model_fields else None
        before = named(old.get(key)) or getattr(default, "name", None)
        if isinstance(named(value), str) and named(value) != before:
            renamed.add(key)
    return merge({key: value for key, value in old.items() if key not in renamed}, new)


def _nest(base: Any, path: Path) -> dict[str, Any]:
    if isinstance(base, Mapping) and ARM in base:
        raise UserError(f"{path}: base.arm: only a grid has arms. Write them below grid.arm, or remove it.")
    if not isinstance(base, Mapping):
        raise UserError(f"{path}: base: must hold keys and values, got {spelled(base)}.")
    return undot(base, f"{path}: base")


def _check_probes_once(probes: Iterable[Probe], path: Path) -> None:
    """Refuse a probe that is measured twice in one BatchNorm mode: nothing would tell the numbers apart."""
    seen = set()
    for probe in probes:
        if (probe.name, probe.batchnorm) in seen:
            raise UserError(
                f"{path}: probes: '{probe.name}' appears twice in BatchNorm mode '{probe.batchnorm}'. Remove one, or "
                "give it another `batchnorm`."
            )
        seen.add((probe.name, probe.batchnorm))


def _check_axis_options(study: Study, path: Path) -> None:
    """Refuse a figure or table that is to compare along an axis which the study does not vary, or does not name."""
    cells = study.cells.values()
    several = [axis for axis in study.axes if axis != SEED and len(values_of(cells, axis)) > 1]
    short = leaf_names()
    varied = [short[axis] for axis in several]
    for part in (*study.figures, *study.tables):
        where = f"{path}: {part.kind}s: {part.name}"
        for key, option in registry.check(part.kind, part.name).options.items():
            if option.type != "axis":
                continue
            named = getattr(part, key)
            if named is None and option.optional:
                continue
            if not varied:
                raise UserError(f"{where}: {key}: no axis of `grid` beside the seed has several values to compare.")
            if named is None and len(varied) > 1:
                raise UserError(
                    f"{where}: {key}: is missing, and the grid varies {enumerated(varied)}. Say along which to "
                    f"compare: {{name: {part.name}, {key}: {varied[0]}}}."
                )
            if named is not None and named not in varied:
                meant = short[named] if named in several else nearest(named, varied)  # `optimizer.lr` means `lr`
                raise UserError(
                    f"{where}: {key}: '{named}' is no axis with several values.{did_you_mean(meant)} "
                    f"Choose from: {', '.join(varied)}."
                )


def _check_batchnorm(probes: Iterable[Probe], path: Path) -> None:
    """Refuse BatchNorm modes in which a probe means nothing."""
    for probe in probes:
        entry = registry.check("probe", probe.name)
        if probe.batchnorm not in entry.batchnorm:
            raise UserError(
                f"{path}: probes: batchnorm: '{probe.name}' cannot be measured in mode '{probe.batchnorm}', where a "
                f"sample's output depends on its batch. Choose from: {', '.join(entry.batchnorm)}."
            )


def _spell_or_value(value: Any) -> Any:
    return format_value(value) if isinstance(value, (tuple, list)) else value
