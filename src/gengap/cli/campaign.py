"""The command `gengap campaign`: hours of computing on a paper, what decides most verdicts per minute first."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from gengap import layout
from gengap.cli import numbers
from gengap.counting import count
from gengap.errors import UserError, unknown_name
from gengap.studies.names import REDUCED
from gengap.studies.paper import reduced
from gengap.studies.project import Project, load_project

if TYPE_CHECKING:  # the costs need PyTorch, and every command reads this module
    from gengap.cost.campaign import Unit, Verdict
    from gengap.cost.estimate import Estimator

_END_SECONDS = 120.0  # in which a stopped job saves what it has


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    text = "Run a paper's studies for some hours, first what decides most open verdicts per minute"
    command: argparse.ArgumentParser = commands.add_parser("campaign", help=text, description=f"{text}.")
    command.set_defaults(run=campaign)
    command.add_argument("paper", metavar="PAPER", help="a paper of config/papers.yaml, or a study")
    command.add_argument("--hours", type=numbers.from_zero, default=1.0, help="time after which it stops (default: 1)")
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to train")
    command.add_argument("--dry-run", action="store_true", help="print the order, with minutes and verdicts")


def campaign(options: argparse.Namespace) -> None:
    """Run packs and points in the order of `gengap.cost.campaign` until all verdicts are decided or time is up.

    What runs is Snakemake's, so a stopped campaign goes on where it was, and leaves nothing to be repeated.

    Raises:
        UserError: If there is no such paper, or a job failed.
    """
    from gengap.cost import campaign as order
    from gengap.cost.plan import estimate
    from gengap.snakemake_support import due

    if options.hours <= 0:
        raise UserError(f"--hours: {options.hours:g} is not allowed. Give a positive number of hours.")
    project = load_project(asked=[options.paper])
    names = _studies(project, options.paper)
    cores = len(os.sched_getaffinity(0))
    estimator = estimate(project.targets, cores, lambda: due.outputs(names))
    due_units = order.units(estimator, names)
    unfinished = {name: {one.part for one in due_units if one.study == name} for name in names}
    left = [one for one in due_units if one.verdicts]
    if not left:
        print(f"{options.paper}: nothing is to run that a verdict waits for.")
        return
    if options.dry_run:
        print(*order.described(left), sep="\n")
        print("Minutes of job time, without jobs of a kind that has not run on this machine.")
        return
    _run(options, estimator, left, unfinished, time.monotonic() + 3600 * options.hours)


def _run(
    options: argparse.Namespace, estimator: Estimator, left: list[Unit], unfinished: dict[str, set[str]], end: float
) -> None:
    """Run units until none is left or time is up; `unfinished` has all packs and points that are to run, by study."""
    from gengap.cost.text import spell

    decided: set[Verdict] = set()
    studies = sorted({one.study for one in left})
    began, told = time.monotonic(), set[tuple[str, ...]]()
    while left and (seconds := end - time.monotonic()) > 0:
        left.sort(key=lambda one: -one.rate(decided))
        # What does not fit in the time that is left is begun only if nothing else fits; it goes on the next time.
        unit = next((one for one in left if one.seconds <= seconds), left[0])
        print(f"{spell(time.monotonic() - began)}: {unit.study} {unit.part}, about {spell(unit.seconds)}", flush=True)
        if not _make(unit, options.device, seconds):
            print(f"Stopped; packs and points that are left: {len(left)}. The same command goes on.")
            return
        left.remove(unit)
        unfinished[unit.study].discard(unit.part)
        decided |= set(unit.verdicts)
        _tell(estimator, unit, unfinished[unit.study], told)
    print(f"Packs and points that are left: {len(left)}." if left else "All that a verdict waits for is done.")
    print(f"Evidence as a whole: snakemake {' '.join(studies)}")


def _make(unit: Unit, device: str | None, seconds: float) -> bool:
    """Make a unit's files; whether they were made in the time.

    Raises:
        UserError: If a job failed.
    """
    command = [sys.executable, "-m", "snakemake", *unit.targets]
    command += ["--config", f"device={device}"] if device else []
    with subprocess.Popen(command) as running:
        try:
            status = running.wait(seconds)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as stop:
            if isinstance(stop, subprocess.TimeoutExpired):  # a terminal sends Ctrl-C to both
                running.send_signal(signal.SIGINT)
            try:
                running.wait(_END_SECONDS)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                running.terminate()
            return False
    if status:
        raise UserError(f"{unit.study} {unit.part}: failed; its log is below {layout.logs(unit.study)}.")
    return True


def _tell(estimator: Estimator, unit: Unit, left: set[str], told: set[tuple[str, ...]]) -> None:
    """Print what the finished packs of a study decide and was not told before."""
    from gengap.cost import campaign as order

    judged = order.verdicts(estimator.plan, unit.study, left)
    for row in judged.to_dict("records") if len(judged) else ():
        key = tuple(str(row[name]) for name in ("study", "table", "row", "alternative", "quantity"))
        if key in told:
            continue
        told.add(key)
        alternative = f" [{row['alternative']}]" if row["alternative"] else ""
        print(
            f"  {row['table']}, {row['row']}{alternative}: {row['quantity']} {row['published']} {row['verdict']} "
            f"({row['mean']} [{row['low']}, {row['high']}], {count(row['n_seeds'], 'seed')})"
        )


def _studies(project: Project, name: str) -> list[str]:
    """The studies and simulations of a paper, of its reduced settings, or one of them."""
    plain = name.removesuffix(REDUCED)
    if name in project.targets:
        return [name]
    if plain not in project.papers:
        raise unknown_name("paper", name, [*project.papers, *project.names])
    paper = project.papers[plain]
    return list(reduced(paper, project.names) if name.endswith(REDUCED) else paper.studies)
