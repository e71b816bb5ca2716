"""Evidence without Snakemake: the files that the rules `collect`, `figure_*`, `table_*` and `verdicts` write."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from gengap.errors import UserError
from gengap.evidence import figures, imported, measurements, tables
from gengap.evidence.collect import collect, data_facts
from gengap.evidence.collect_simulation import collect_simulation
from gengap.evidence.imported import Imported
from gengap.evidence.published import read_published
from gengap.evidence.verdicts import judge
from gengap.progress import told
from gengap.studies.job import Job
from gengap.studies.jobs import Plan
from gengap.studies.study import Study


def make(plan: Plan, name: str) -> None:
    """Make the evidence of a study from the files of its packs, and from imports.

    Args:
        plan: The plan of jobs.
        name: Name of the study.

    Raises:
        UserError: If something was not trained or measured, or a file is damaged.
    """
    study, job = plan.studies[name], plan.collect(name)
    labelled, histories, probes = (
        [Path(path) for path in job.inputs[key]] for key in ("labelled", "histories", "probes")
    )
    measured, cells = (Path(job.outputs[key]) for key in ("measurements", "cells"))
    taken = imported.of_study(study, plan.imports)
    collect(study, data_facts(labelled, study.cells.values()), histories, probes, measured, cells, taken)
    show(plan, name, Path())


def redraw(plan: Plan, name: str, parts: Sequence[Imported], folder: Path) -> list[str]:
    """Make the evidence of a study or a simulation from parts of exports alone.

    Args:
        plan: The plan of jobs.
        name: Name of the study or the simulation.
        parts: What is taken from exports.
        folder: Where the results go, at the places that they have in a project.

    Returns:
        What cannot be made of a part of the study, and why.

    Raises:
        UserError: If a cell is in none of them.
    """
    is_study = name in plan.studies
    outputs = (plan.collect(name) if is_study else plan.collect_simulation(name)).outputs
    measured, cells = folder / outputs["measurements"], folder / outputs["cells"]
    if is_study:
        collect(plan.studies[name], {}, [], [], measured, cells, parts)
    else:
        collect_simulation(plan.simulations[name], [], measured, cells, parts)
    return show(plan, name, folder, part=True)


def show(plan: Plan, name: str, folder: Path, *, part: bool = False) -> list[str]:
    """Draw the figures, write the tables and judge what was printed, from the measurements in a folder.

    Args:
        plan: The plan of jobs.
        name: Name of the study or the simulation.
        folder: Where the measurements are.
        part: Whether they are of a part of the study, of which not every figure and table can be made.

    Returns:
        What could not be made of a part, and why.
    """
    left_out: list[str] = []
    target = plan.studies[name] if name in plan.studies else plan.simulations[name]
    published = plan.verdicts(name).inputs["published"]
    found = measurements.read(folder / plan.verdicts(name).inputs["measurements"], published)

    def attempt(part_name: str, draw: Callable[[], None]) -> None:
        try:
            with told(None, f"{part_name}: "):
                draw()
        except UserError as error:
            if not part:
                raise
            left_out.append(f"{part_name} is left out: {error}")

    for figure in target.figures:
        files = _outputs(plan.figure(name, figure.name), folder)
        attempt(f"figure '{figure.name}'", functools.partial(figures.draw, figure, found, files))
    for table in target.tables:
        files = _outputs(plan.table(name, table.name), folder)
        attempt(f"table '{table.name}'", functools.partial(tables.write, table, found, files))
    verdicts = judge(found, [read_published(path) for path in published])
    tables.write_verdicts(verdicts, name, **_outputs(plan.verdicts(name), folder))
    return left_out


def _outputs(job: Job, folder: Path) -> dict[str, Path]:
    return {suffix: folder / path for suffix, path in job.outputs.items()}


def restricted(study: Study, cells: Sequence[str]) -> Study:
    """The study with these cells alone, in the order of its grid: evidence of a part of it."""
    wanted = set(cells)
    return study.model_copy(update={"cells": {name: cell for name, cell in study.cells.items() if name in wanted}})
