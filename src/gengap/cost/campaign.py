"""In which order to run a paper's packs and points, so that most of its open verdicts are decided first."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gengap import layout
from gengap.cost.estimate import Estimator, Planned
from gengap.evidence import collect, collect_simulation, imported, measurements
from gengap.evidence.alternatives import alternatives
from gengap.evidence.measurements import Evidence
from gengap.evidence.published import read_published
from gengap.evidence.verdicts import MIN_SEEDS, NOT_COMPARABLE, judge
from gengap.studies.jobs import Plan
from gengap.studies.packing import packs
from gengap.studies.simulation import Simulation
from gengap.studies.study import Study, axis_names, axis_values

Verdict = tuple[str, int, str]  # study, number of the printed row, alternative


@dataclass(frozen=True)
class Unit:
    """A pack to train and measure, or a point to simulate.

    Attributes:
        study: Its study or simulation.
        part: Its name.
        targets: The files that are to be made.
        seconds: Predicted; those of jobs whose time is not known are left out.
        verdicts: What it helps to decide: of the cells that a verdict still waits for, the share that are in it.
    """

    study: str
    part: str
    targets: tuple[str, ...]
    seconds: float
    verdicts: Mapping[Verdict, float]

    def rate(self, decided: set[Verdict]) -> float:
        """Verdicts per minute, without those that are decided otherwise."""
        gain = sum(share for verdict, share in self.verdicts.items() if verdict not in decided)
        return gain / max(self.seconds / 60, 1e-3)


def units(estimator: Estimator, studies: Sequence[str]) -> list[Unit]:
    """The packs and points that are to run, most verdicts per minute first; those that no verdict waits for last.

    Args:
        estimator: What predicts their jobs.
        studies: Names of the paper's studies and simulations.
    """
    found: list[Unit] = []
    for name in studies:
        parts: dict[str, list[Planned]] = {}
        for one in estimator.planned(name):
            if one.of:  # of packs and points; data and evidence follow from them
                parts.setdefault(one.part, []).append(one)
        waiting = _waiting(estimator.plan, name, parts)
        for part, jobs in parts.items():
            targets = tuple(path for one in jobs for path in one.job.outputs.values())
            found.append(Unit(name, part, targets, sum(one.seconds or 0.0 for one in jobs), waiting.get(part, {})))
    return sorted(found, key=lambda one: -one.rate(set()))


def _waiting(plan: Plan, name: str, parts: Mapping[str, Sequence[Planned]]) -> dict[str, dict[Verdict, float]]:
    """By pack or point, the verdicts that wait for its cells."""
    known = _cells(plan, name)
    waiting: dict[str, dict[Verdict, float]] = {}
    number = 0
    for path in plan.verdicts(name).inputs["published"]:
        for row in read_published(path).to_dict("records"):
            for alternative in alternatives(known, row["cells"])[0]:
                left = alternative.cells["pack"][alternative.cells["pack"].isin(list(parts))]
                if len(alternative.cells) < MIN_SEEDS:
                    continue
                for part, count in left.value_counts().items():
                    waiting.setdefault(str(part), {})[name, number, alternative.name] = count / len(left)
            number += 1
    return waiting


def _cells(plan: Plan, name: str) -> Evidence:
    """What evidence says of the cells before anything of them is known: axes, settings and pack."""
    if name in plan.simulations:
        simulation = plan.simulations[name]
        part_of = {point: part for part, point in plan.points[name].items()}
        cells = collect_simulation.cells_of(simulation)
        cells = cells.assign(pack=cells["pack"].map(lambda point: part_of.get(point, "")))
        return _evidence(cells, list(simulation.axes), {}, [])
    study = plan.studies[name]
    fixed, varied = collect.beside_axes(study)
    pack_of = {cell: pack for pack, names in packs(study).items() for cell in names}
    rows = [{"cell": one, "pack": pack_of[one], **axis_values(study, cell)} for one, cell in study.cells.items()]
    return _evidence(pd.DataFrame(rows).assign(**varied), list(axis_names(study)), fixed, list(varied))


def _evidence(cells: pd.DataFrame, axes: list[str], fixed: Mapping[str, str], varied: list[str]) -> Evidence:
    nothing = pd.DataFrame()
    study = {"axes": axes, "fixed": dict(fixed), "varied": varied}
    return Evidence(study, cells, nothing, nothing, nothing, Path())


def verdicts(plan: Plan, name: str, left: set[str]) -> pd.DataFrame:
    """What is decided by the packs and points that are finished.

    Args:
        plan: The plan of jobs.
        name: Name of the study or the simulation.
        left: Packs and points that are not finished.

    Returns:
        As `gengap.evidence.verdicts.judge`, the decided ones alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = layout.measurements_in(Path(folder)), layout.cells_in(Path(folder))
        if name in plan.studies:
            done = [pack for pack in plan.packs[name] if pack not in left]
            part = _finished(plan, name, done)
            if not part.cells:
                return pd.DataFrame()
            files = {
                "labelled": sorted({Path(plan.train(name, pack).inputs["labelled"]) for pack in done}),
                "histories": [Path(plan.train(name, pack).outputs["history"]) for pack in done],
                "probes": [
                    Path(plan.probe(name, pack, key).outputs["measured"]) for pack in done for key in plan.probes(name)
                ],
            }
            facts = collect.data_facts(files["labelled"], part.cells.values())
            taken = imported.of_study(part, plan.imports)
            collect.collect(part, facts, files["histories"], files["probes"], *written, taken)
        else:
            simulation = plan.simulations[name]
            undone = {plan.points[name][point] for point in left}
            kept = {point: one for point, one in simulation.points.items() if point not in undone}
            if not kept:
                return pd.DataFrame()
            part_of: Simulation = simulation.model_copy(update={"points": kept})
            done = [point for point in plan.points[name] if point not in left]
            files_of = [Path(plan.simulate(name, point).outputs["draws"]) for point in done]
            taken = imported.of_simulation(part_of, plan.imports)
            collect_simulation.collect_simulation(part_of, files_of, *written, taken)
        published = [read_published(path) for path in plan.verdicts(name).inputs["published"]]
        judged = judge(measurements.read(written[0]), published)
    return judged[judged["verdict"] != NOT_COMPARABLE]


def _finished(plan: Plan, name: str, done: Sequence[str]) -> Study:
    """The study with the cells of finished packs, and those that are imported."""
    study = plan.studies[name]
    cells = {cell for pack in done for cell in plan.packs[name][pack]} | {*plan.imported[name]}
    return study.model_copy(update={"cells": {one: cell for one, cell in study.cells.items() if one in cells}})


def described(found: Sequence[Unit]) -> Iterator[str]:
    """The units as a table: verdicts, minutes, and minutes from the beginning."""
    total, width = 0.0, max((len(f"{one.study} {one.part}") for one in found), default=0)
    for one in found:
        total += one.seconds / 60
        name = f"{one.study} {one.part}"
        yield f"{name:{width}}  {_count(one.verdicts.values()):>5} verdicts  {one.seconds / 60:7.1f} min  {total:8.1f}"


def _count(shares: object) -> str:
    """A sum of shares, without needless decimals."""
    total = math.fsum(shares)  # type: ignore[arg-type]
    return f"{total:.0f}" if abs(total - round(total)) < 0.05 else f"{total:.1f}"
