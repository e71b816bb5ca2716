"""The commands `gengap path` and `gengap jobs`, which give the Makefile and DVC names of files and lists of jobs."""

import argparse
import csv
import functools
import hashlib
import inspect
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.errors import UserError
from gengap.files import storage
from gengap.studies import imports
from gengap.studies.job import Job
from gengap.studies.jobs import Plan
from gengap.studies.project import load_project


def add_parsers(commands: Any) -> None:
    """Add the two commands and their options."""
    text = "Print the path of a file or folder"
    kinds = sorted(_named())
    command: argparse.ArgumentParser = commands.add_parser("path", help=text, description=f"{text}.")
    command.set_defaults(run=path)
    command.add_argument("kind", metavar="KIND", choices=kinds, help=", ".join(kinds))
    command.add_argument(
        "names", metavar="NAME", nargs="*", help="name of the study, then of the pack, probe, figure or table"
    )
    text = "List the settings and code of every job of config/config.yaml; DVC compares the lists"
    commands.add_parser("jobs", help=text, description=f"{text}.").set_defaults(run=jobs)


def path(options: argparse.Namespace) -> None:
    """Print one path.

    Raises:
        UserError: If there are too few or too many names.
    """
    named = _named()[options.kind]
    wanted = list(inspect.signature(named).parameters)
    if len(wanted) != len(options.names):
        raise UserError(
            f"gengap path {options.kind}: takes {' '.join(wanted).upper()}, got {len(options.names)} names."
        )
    print(named(*options.names))


def jobs(options: argparse.Namespace) -> None:
    """Write the lists of jobs into `layout.JOBS`, one for each stage of DVC.

    A line has the digest of all that the job's outputs depend on and that no other job makes: settings, versions of the
    numbers, code, published numbers. So a stage of DVC is to be run exactly if Snakemake would run one of its jobs.

    Raises:
        UserError: If a study or the configuration is wrong.
    """
    project = load_project(asked=["all"])
    built = Plan(
        {name: project.studies[name] for name in project.built if name in project.studies},
        {name: project.simulations[name] for name in project.built if name in project.simulations},
        imports.read(),
    )
    lists = dict(_lists(built))
    for old in layout.JOBS.rglob("*.csv"):
        if old not in lists:
            old.unlink()
    for file, listed in lists.items():
        storage.write_text(file, _text(listed))


def _lists(plan: Plan) -> Iterator[tuple[Path, Iterable[Job]]]:
    """The list of each stage of DVC, and its jobs."""
    yield layout.jobs("datasets"), (plan.prepare(key) for key in plan.datasets)
    yield layout.jobs("labelled"), (plan.label(*keys) for keys in plan.labels)
    for name in plan.studies:
        yield layout.jobs("checkpoints", name), plan.made_from_data(name)
        yield layout.jobs("evidence", name), plan.evidence(name)
    for name in plan.simulations:
        yield layout.jobs("simulations", name), (*plan.made_from_data(name), *plan.evidence(name))


def _text(jobs: Iterable[Job]) -> str:
    lines = sorted((next(iter(job.outputs.values())), job.rule, _digest(job)) for job in jobs)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "rule", "digest"), *lines])
    return text.getvalue()


def _digest(job: Job) -> str:
    read = {name: _content(name) for name in job.files() if not layout.is_made(Path(name))}
    content = json.dumps([job.params, read], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@functools.cache  # hundreds of jobs read the same code
def _content(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _named() -> dict[str, Callable[..., Path]]:
    """The functions of `layout` that need names only."""
    functions = inspect.getmembers(layout, inspect.isfunction)
    return {
        name: function
        for name, function in functions
        if all(
            parameter.annotation is str and parameter.default is parameter.empty
            for parameter in inspect.signature(function).parameters.values()
        )
    }
