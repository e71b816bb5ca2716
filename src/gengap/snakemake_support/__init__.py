"""Everything that relies on Snakemake's internals: workarounds, its records, the locks of its runs.

No other module imports Snakemake. `install` knows what the workarounds need of it, and stops a run with a Snakemake
that was not tested.
"""

import inspect
from pathlib import Path
from typing import Any

from gengap.errors import UserError
from gengap.logs import log
from gengap.snakemake_support import (
    contents,
    failed_jobs,
    job_environment,
    linked_files,
    python_path,
    records,
    warm_jobs,
)

# Versions with which `make test-versions` passed: the first one, and the first one that was not tested. pyproject.toml
# and the Snakefile say the same.
OLDEST, UNTESTED = "9.14.0", "9.28"


def install(workflow: Any) -> None:
    """Check this process's Snakemake, work around its errors, and let jobs start faster.

    Args:
        workflow: Snakemake's workflow, as a Snakefile has it.

    Raises:
        UserError: If this Snakemake is unknown, or has another form than its version promises.
    """
    import snakemake

    check(snakemake.__version__)
    if missing := next(_missing(), ""):
        raise UserError(
            f"Snakemake {snakemake.__version__} has {missing}, which gengap relies on. "
            f'Reinstall it: pip install --force-reinstall "snakemake>={OLDEST},<{UNTESTED}".'
        )
    backend = getattr(workflow.workflow_settings, "persistence_backend", None)
    if backend is not None and backend.item_to_choice() != "file":
        raise UserError(
            "--persistence-backend: gengap reads Snakemake's records, and removes the locks of killed runs, as files. "
            "Leave this option out, or give 'file'."
        )
    contents.install()
    failed_jobs.install()
    linked_files.install()
    python_path.install()
    job_environment.install()
    if workflow.is_main_process:
        warm_jobs.install()


def begin(project: Path = Path()) -> None:
    """Before a run: let Snakemake's records be files of their own, and have made again what lost its record.

    Args:
        project: The folder in which Snakemake runs.
    """
    linked_files.own_records(project)
    for record, path in list(records.damaged(project)):
        records.set_aside(record, path, project)
        log.warning("%s: Snakemake's record of %s is damaged; the file is made again.", record, path)


def check(version: str) -> None:
    """Refuse a Snakemake that was not tested.

    Raises:
        UserError: One sentence: what was found, what is supported, what to do.
    """
    if not _numbers(OLDEST) <= _numbers(version) < _numbers(UNTESTED):
        raise UserError(
            f"Snakemake {version} was found, but gengap is tested with versions from {OLDEST} and below {UNTESTED}: "
            f'install one of these by: pip install "snakemake>={OLDEST},<{UNTESTED}".'
        )


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, so that 9.28.0a1 counts as 9.28."""
    numbers = []
    for part in version.split("+")[0].split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _missing() -> Any:
    """What the workarounds need and this Snakemake lacks."""
    from snakemake import cli
    from snakemake.jobs import Job
    from snakemake.script import PythonScript

    if not inspect.iscoroutinefunction(getattr(Job, "postprocess", None)):
        yield "no coroutine Job.postprocess"
    elif "error" not in inspect.signature(Job.postprocess).parameters:
        yield "a Job.postprocess without the argument 'error'"
    elif "check_output_mtime" not in inspect.signature(Job.postprocess).parameters:
        yield "a Job.postprocess without the argument 'check_output_mtime'"
    if not inspect.iscoroutinefunction(getattr(Job, "prepare", None)):
        yield "no coroutine Job.prepare"
    if not callable(getattr(cli, "get_argument_parser", None)):
        yield "no cli.get_argument_parser()"
    for known_as, owner, name, arguments in (
        ("persistence", contents.persistence(), "started", ["self", "job"]),
        ("persistence", contents.persistence(), "input_changed", ["self", "job", "file"]),
        ("PythonScript", PythonScript, "execute_script", ["self", "fname", "edit"]),
        ("PythonScript", PythonScript, "_execute_cmd", ["self", "cmd"]),
    ):
        method = getattr(owner, name, lambda: None)
        if list(inspect.signature(method).parameters)[: len(arguments)] != arguments:
            yield f"no {known_as}.{name}({', '.join(arguments[1:])})"
