"""A simulation: a study of random draws instead of trained networks. One YAML file in config/simulations.

Its cells are draws. Draws that differ only in their seed are one point of the grid, and one job. There may be tens
of thousands of draws, and the Snakefile is parsed for every job, so the plan lists points instead of draws.
"""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from gengap import registry
from gengap.errors import UserError, spelled, unknown_name
from gengap.studies.axes import check_count, read_axis
from gengap.studies.grid import format_value
from gengap.studies.names import REDUCED, check_part_names, check_study_name, study_files
from gengap.studies.options import PartSettings, known_options
from gengap.studies.packing import Fingerprinted
from gengap.studies.reading import read_yaml
from gengap.studies.schema import Line, Names, Seed, Settings, Text
from gengap.studies.settings import CODE, Cell, Dataset
from gengap.studies.study import Figures, Tables
from gengap.studies.validation import (
    check_changed,
    check_once,
    check_parts,
    check_reduced,
    check_renamed,
    reduced_section,
    validate,
)

SEED = "seed"
NORMAL = "normal"  # in a dataset's place: independent normal pixels
MOST_POINTS = 10_000
BASE = "base"  # the point of a grid without axes


class Point(PartSettings):
    """One point of a grid, fully resolved: what is drawn, and the seeds of its draws."""

    kind = "simulation"
    named_by = "simulation"
    simulation: str = Field(description="Registered simulation.")
    seeds: Annotated[tuple[Seed, ...], Field(strict=False)] = Field(
        (0,), description="One number per draw, on which its stream depends."
    )


class SimulationFile(Settings):
    """The keys of a simulation's file, except `reduced`, whose values replace these."""

    title: Line = Field(description="One line for the report.")
    question: Text = Field("", description="What the simulation asks.")
    source: Text = Field("", description="The paper whose experiment it is.")
    choices: Names = Field(
        (),
        description="What the source leaves open and is fixed here, one sentence each; the report quotes them.",
    )
    base: dict[str, Any] = Field({}, description="Settings of all draws; `simulation` names what is drawn.")
    grid: Any = Field(
        {}, description="Keys with lists of values; every combination is one draw. A list of grids is joined."
    )
    figures: Figures = Field((), description="Figures to draw.")
    tables: Tables = Field((), description="Tables to write.")
    published: Names = Field((), description="Files of published numbers in config/published, without .csv.")
    full_on: Literal["any", "gpu"] = Field("any", description="As in a study's file.")


class Simulation(SimulationFile):
    """A checked simulation.

    Attributes:
        name: File name without suffix, and `-reduced` for the reduced settings.
        reduced: Whether the `reduced` section was applied.
        points: Every point by its name, in the order of the grid.
        axes: Keys of the grid, the seed last.
    """

    name: str
    reduced: bool
    points: dict[str, Point]
    axes: Names

    @property
    def simulated(self) -> str:
        """Registered name of what is drawn."""
        return next(iter(self.points.values())).simulation

    @property
    def n_draws(self) -> int:
        """Draws of all points."""
        return sum(len(point.seeds) for point in self.points.values())


def load_simulation(path: Path, *, reduced: bool = False) -> Simulation:
    """Read and check one file.

    Args:
        path: The YAML file.
        reduced: Apply the file's `reduced` section: `base` and a plain `grid` key by key, every other key whole.

    Raises:
        UserError: If anything is wrong with it; the message names file, key and value.
    """
    check_study_name(path.stem, str(path), "simulation")
    content = read_yaml(path)
    if "reduced" in content:
        check_reduced(content["reduced"], path)
    overrides = content.pop("reduced", None)
    if not reduced:
        return _simulation(content, path, reduced=False)
    if overrides is None:
        raise UserError(f"{path}: reduced: there are no reduced settings here. Run it without '{REDUCED}'.")
    with reduced_section(path):
        check_renamed(overrides, path)
        full = dict(content)
        for key, value in overrides.items():
            both = key in ("base", "grid") and isinstance(value, Mapping) and isinstance(content.get(key), Mapping)
            content[key] = {**content[key], **value} if both else value
        check_changed(full, content, path)
        return _simulation(content, path, reduced=True)


def load_simulations(folder: Path, studies: Iterable[str] = ()) -> dict[str, Simulation]:
    """Read every simulation of a folder, full and reduced, by name; there may be none.

    Args:
        folder: The folder, which need not exist.
        studies: Names that studies have taken.

    Raises:
        UserError: If a file is wrong, or a name is taken.
    """
    simulations: dict[str, Simulation] = {}
    for path in study_files(folder):
        simulations[path.stem] = load_simulation(path)
        if "reduced" in read_yaml(path):
            simulations[path.stem + REDUCED] = load_simulation(path, reduced=True)
        if path.stem in studies:
            raise UserError(f"{path}: a study has the name '{path.stem}' too. Rename one of the two files.")
    return simulations


def cell_names(name: str, point: Point) -> list[str]:
    """Names of a point's draws, e.g. ``rows=1000,columns=10,seed=0``, in the order of its seeds."""
    prefix = "" if name == BASE else f"{name},"
    return [f"{prefix}{SEED}={seed}" for seed in point.seeds]


def data_of(point: Point) -> Cell | None:
    """A cell with the data that a point's draws are from, by which the workflow names and prepares them, if any are."""
    name = dataset_of(point)
    return None if name == NORMAL else Cell(dataset=Dataset(name=name))


def dataset_of(point: Point) -> str:
    """The dataset that a point's draws are from: its option `dataset`, of simulations that have one."""
    name: str = point.dataset if "dataset" in registry.check("simulation", point.simulation).options else NORMAL
    return name


def point_settings(point: Point) -> Fingerprinted:
    """What a point's job depends on, as plain data that `Point` reads."""
    settings = point.model_dump(mode="json", exclude_defaults=True)
    digest = registry.code(point.kind, point.simulation)
    return Fingerprinted(settings | ({CODE: digest} if digest else {}))


def point_from(settings: Mapping[str, Any]) -> Point:
    """The point that `point_settings` was taken from."""
    return Point.model_validate({key: value for key, value in settings.items() if key != CODE})


def simulation_settings(simulation: Simulation) -> Fingerprinted:
    """What the collected measurements depend on, as plain data that `Simulation` reads: all but the evidence."""
    keys = {"name", "reduced", "title", "question", "source", "points", "axes"}
    return Fingerprinted(simulation.model_dump(mode="json", include=keys, exclude_defaults=True))


def _simulation(content: dict[str, Any], path: Path, *, reduced: bool) -> Simulation:
    """Check the content of a file, in which `reduced` was applied or left out."""
    check_renamed(content, path)
    file = validate(SimulationFile, content, f"{path}: ", also=() if reduced else ("reduced",))
    check_parts("figure", content.get("figures") or (), file.figures, path)
    check_parts("table", content.get("tables") or (), file.tables, path)
    for kind, parts in (("figure", file.figures), ("table", file.tables)):
        check_part_names(kind, [part.name for part in parts], f"{path}: {kind}s")
    check_once(file.published, f"{path}: published")
    simulated = file.base.get("simulation")
    grids = _grids(file.grid, path)
    axes = (*dict.fromkeys(key for grid in grids for key in grid if key != SEED), SEED)
    if "simulation" in axes:
        raise UserError(f"{path}: grid.simulation: a file has one simulation. Name it in `base`.")
    _check_options({*file.base, *axes}, simulated, path)
    for figure in file.figures:
        if (shown := registry.check("figure", figure.name).simulation) != simulated:
            subject = f"simulation '{shown}'" if shown else "networks"
            raise UserError(f"{path}: figures: '{figure.name}' only plots {subject}; remove it from this simulation.")
    able = registry.check("simulation", str(simulated)).measured
    for part in (*file.figures, *file.tables):
        if lacking := [one for one in registry.check(part.kind, part.name).needs if one not in able]:
            raise UserError(
                f"{path}: {part.kind}s: '{part.name}' shows the quantity '{lacking[0]}', which '{simulated}' does not "
                f"measure. Remove the {part.kind}."
            )
    return Simulation.model_construct(
        **{key: getattr(file, key) for key in SimulationFile.model_fields},
        name=path.stem + (REDUCED if reduced else ""),
        reduced=reduced,
        points=_expand(file.base, grids, axes[:-1], path),
        axes=axes,
    )


def _grids(grid: Any, path: Path) -> list[dict[str, list[Any]]]:
    if grid == []:
        raise UserError(f"{path}: grid: is empty, so there is no draw. Give keys with lists of values.")
    grids = []
    for one in grid if isinstance(grid, list) else [grid]:
        if not isinstance(one, Mapping):
            raise UserError(f"{path}: grid: must hold keys with lists of values, got {spelled(one)}.")
        grids.append({str(key): read_axis(values, f"{path}: grid.{key}", "draw") for key, values in one.items()})
    check_count([{key: len(values) for key, values in axes.items()} for axes in grids], "draws", path)
    points = [{key: len(values) for key, values in axes.items() if key != SEED} for axes in grids]
    check_count(points, "points, each of them a job,", path, most=MOST_POINTS)
    return grids


def _check_options(given: Iterable[str], name: Any, path: Path) -> None:
    """Refuse a simulation that does not exist, and settings that it does not read."""
    if name is None:
        raise UserError(
            f"{path}: base.simulation: is missing. Choose from: {', '.join(registry.REGISTRY['simulation'])}."
        )
    known = ("simulation", SEED, *registry.check("simulation", str(name), where=f"{path}: base.simulation").options)
    for key in sorted(given):
        if key not in (*Point.model_fields, *known_options("simulation"), SEED) or key == "seeds":
            raise unknown_name("key", key, known, where=f"{path}: base or grid")
        if key not in known:
            raise UserError(f"{path}: {key}: '{name}' does not use it. It uses: {', '.join(known[1:])}.")


def _seeds(values: Any, path: Path) -> list[int]:
    seeds = read_axis(values, f"{path}: {SEED}", "draw")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise UserError(
                f"{path}: {SEED}: {seed!r} is not allowed: it must be a whole number from 0 below {2**63:,}."
            )
    return seeds


def _expand(
    base: Mapping[str, Any], grids: list[dict[str, list[Any]]], axes: tuple[str, ...], path: Path
) -> dict[str, Point]:
    points: dict[str, Point] = {}
    for grid in grids:
        settings = {**base, **grid}
        seeds = _seeds(settings.pop(SEED, [0]), path)
        varied = {axis: values for axis, values in grid.items() if axis != SEED}
        for values in itertools.product(*varied.values()):
            content = {**settings, **dict(zip(varied, values, strict=True)), "seeds": seeds}
            point = validate(Point, content, f"{path}: base and grid: ")
            if (data := dataset_of(point)) != NORMAL and data not in (known := registry.REGISTRY["dataset"]):
                raise unknown_name("dataset", data, [NORMAL, *known], where=f"{path}: base and grid: dataset")
            if data != NORMAL and len(registry.check("dataset", data).class_names) == 1:
                raise UserError(
                    f"{path}: base and grid: dataset: the images of '{data}' come without labels. Choose another, or "
                    f"{NORMAL}."
                )
            name = ",".join(f"{axis}={format_value(getattr(point, axis))}" for axis in axes) or BASE
            if name in points or len(set(point.seeds)) < len(point.seeds):
                raise UserError(f"{path}: grid: a draw of '{name}' appears twice. Remove the repeated value.")
            points[name] = point
    return points
