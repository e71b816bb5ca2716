"""What a call of Snakemake is asked to build, as far as the Snakefile can know while it is read."""

import os
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from gengap import layout

# Options with which no job of ours is run.
_NO_JOBS = frozenset(
    {"--unlock", "--lint", "--touch", "-t", "--report", "--cleanup-metadata", "--cm", "--summary", "-S"}
)
_ELSEWHERE = frozenset({"--profile", "--executor", "-e"})


def named(workflow: Any, known: Container[str]) -> list[str] | None:
    """The studies and simulations of which something is asked for; None: what the default target builds.

    Args:
        workflow: Snakemake's workflow, as a Snakefile has it.
        known: Names of studies, simulations and papers.
    """
    settings = getattr(workflow, "dag_settings", None)
    targets: Iterable[str] = getattr(settings, "targets", None) or ()
    asked = [target for target in map(str, targets) if target != "all"]
    if not asked:
        return None
    return [name for target in asked if (name := _study_of(target)) in known]


def runs_jobs(arguments: Sequence[str]) -> bool:
    """Whether a call of Snakemake runs jobs, or says which it would run."""
    return not _NO_JOBS & {word.partition("=")[0] for word in arguments}


def runs_here(arguments: Sequence[str]) -> bool:
    """Whether its jobs run on this machine: a profile may send them to others."""
    return "SNAKEMAKE_PROFILE" not in os.environ and not _ELSEWHERE & {word.partition("=")[0] for word in arguments}


def _study_of(target: str) -> str:
    """The study of a target: its name, or a file of its results."""
    parts = Path(target).parts
    return parts[1] if parts[:1] == (str(layout.RESULTS),) and len(parts) > 2 else target
