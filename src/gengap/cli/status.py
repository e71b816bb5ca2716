"""The command `gengap status`: what of a study is finished, what is running, and what failed and why."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gengap import layout
from gengap.errors import UserError
from gengap.files import storage
from gengap.snakemake_support import due, records, run_lock
from gengap.studies import imports, removed
from gengap.studies.job import Job
from gengap.studies.jobs import Plan
from gengap.studies.simulation import Simulation
from gengap.studies.study import Study

_TIME = re.compile(r"^\d\d:\d\d:\d\d ")
_ERROR = re.compile(r"(?:error: |this is a bug in gengap)")


def status(names: Sequence[str], known: Mapping[str, Study | Simulation]) -> Iterator[str]:
    """Say how far studies have come.

    Args:
        names: Studies and simulations.
        known: All of them, by name.

    Yields:
        Lines of text.

    Raises:
        UserError: If Snakemake cannot plan them.
    """
    plan = Plan(
        {name: one for name, one in known.items() if isinstance(one, Study)},
        {name: one for name, one in known.items() if isinstance(one, Simulation)},
        imports.read(),
    )
    to_make = due.outputs(names)
    begun = records.begun(Path())
    with run_lock.alone() as nothing_runs:
        pass
    for name in names:
        jobs = list(plan.jobs(name))
        left = [job for job in jobs if any(Path(path) in to_make for path in job.outputs.values())]
        yield f"{name}: " + (f"{len(jobs) - len(left)} of {len(jobs)} jobs are done" if left else "finished")
        if left:
            yield from _by_rule(jobs, left)
        yield from removed.told(plan, name, to_make)
        if isinstance(known[name], Study) and (networks := _networks(plan, name)):
            yield f"  {'networks':10}{networks}"
        for job in jobs:
            if any(Path(path) in begun for path in job.outputs.values()):
                yield from _begun(job, nothing_runs=nothing_runs)


def _by_rule(jobs: Sequence[Job], left: Sequence[Job]) -> Iterator[str]:
    all_of, left_of = Counter(map(_rule, jobs)), Counter(map(_rule, left))
    for rule, count in all_of.items():
        if left_of[rule]:
            yield f"  {rule:10}{count - left_of[rule]} of {count} done"


def _begun(job: Job, *, nothing_runs: bool) -> Iterator[str]:
    """A job that has begun and not ended: it runs, or it failed, or it was killed."""
    log = _log(job)
    try:
        said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        said = []
    name = " ".join((_rule(job), *_names(job)))
    wrong = next((line for line in said if _ERROR.match(_TIME.sub("", line))), None)
    if wrong is not None:
        yield f"  {'failed':10}{name}: {_TIME.sub('', wrong).removeprefix('error: ')} ({log})"
    elif nothing_runs:
        yield f"  {'stopped':10}{name}: it was interrupted, and goes on when the study is run again ({log})"
    else:
        yield f"  {'running':10}{name}: {said[-1] if said else 'it has said nothing yet'}"


def _networks(plan: Plan, study: str) -> str:
    """Counts of the networks in the files of finished packs, by how they ended."""
    counts: Counter[str] = Counter()
    for pack in plan.packs[study]:
        path = layout.history(study, pack)
        if path.exists():
            try:
                with storage.reading(path, "history") as file:
                    counts.update(storage.read_table(file, "cells")["status"])
            except UserError:
                counts["in damaged files (see gengap fsck)"] += len(plan.packs[study][pack])
    return ", ".join(f"{count:,} {word}" for word, count in counts.most_common())


def _rule(job: Job) -> str:
    """The rule without the figure or table that it is of, or what it collects."""
    return job.rule.partition("_")[0]


def _names(job: Job) -> tuple[str, ...]:
    """What distinguishes a job from others of its rule, as its log is named."""
    first = Path(next(iter(job.outputs.values())))
    names = {"train": (first.parent.name,), "probe": (first.parent.parent.name, first.stem)}
    names["label"] = (first.parent.name, first.stem)
    return names.get(_rule(job), (first.stem,) if _rule(job) in ("prepare", "figure", "table", "simulate") else ())


def _log(job: Job) -> Path:
    names = (_rule(job), *_names(job))
    if _rule(job) in ("prepare", "label"):
        return layout.data_log(*names)
    return layout.log(Path(next(iter(job.outputs.values()))).parts[1], *names)
