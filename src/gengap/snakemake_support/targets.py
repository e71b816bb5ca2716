"""What a call of Snakemake is asked to build, as far as the Snakefile can know while it is read."""

import os
from collections.abc import Sequence
from pathlib import Path

from gengap import layout

# Options with which no job of ours is run.
_NO_JOBS = frozenset(
    {"--unlock", "--lint", "--touch", "-t", "--report", "--cleanup-metadata", "--cm", "--summary", "-S"}
)
# Options that are about every rule.
_OF_ALL = frozenset({"--lint", "--list", "-l", "--list-rules", "--list-target-rules", "--lt"})
_DEFAULT = ("all", "data")  # targets of what the configuration names
_ELSEWHERE = frozenset({"--profile", "--executor", "-e"})


def asked(arguments: Sequence[str]) -> list[str] | None:
    """The studies, simulations and papers of which something is asked for; ``all``: what is built by default.

    Snakemake tells a Snakefile its targets only after it was read, so they are read from the command line.

    Args:
        arguments: Of the call, as `sys.argv`.

    Returns:
        Words, which may be names of nothing; None where every rule is asked for, or this is not Snakemake's program.
    """
    from snakemake import cli

    program, *options = arguments
    if "snakemake" not in Path(program).parts or _OF_ALL & _options(options):
        return None
    given = cli.get_argument_parser().parse_args(options)
    words = [_study_of(str(target)) for target in given.targets]
    for job in given.target_jobs:  # of a process that runs jobs of another
        words.append(job.wildcards_dict.get("study", ""))
    return ["all" if word in _DEFAULT else word for word in words] or ["all"]


def runs_jobs(arguments: Sequence[str]) -> bool:
    """Whether a call of Snakemake runs jobs, or says which it would run."""
    return not _NO_JOBS & _options(arguments)


def runs_here(arguments: Sequence[str]) -> bool:
    """Whether its jobs run on this machine: a profile may send them to others."""
    return "SNAKEMAKE_PROFILE" not in os.environ and not _ELSEWHERE & _options(arguments)


def _options(arguments: Sequence[str]) -> set[str]:
    return {word.partition("=")[0] for word in arguments}


def _study_of(target: str) -> str:
    """The study of a target: its name, or a file of its results."""
    parts = Path(target).parts
    return parts[1] if parts[:1] == (str(layout.RESULTS),) and len(parts) > 2 else target
