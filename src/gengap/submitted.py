"""Jobs that Snakemake sends to other machines: their wildcards, read as they were written.

Snakemake quotes a wildcard's value that has commas, such as a pack's name, for the call that runs the job elsewhere,
and there takes it apart at them all the same (github.com/snakemake/snakemake/issues/2366).
"""

import re
from collections.abc import Sequence
from typing import Any

_OPTION = "--target-jobs"
_WILDCARD = re.compile(r'(\w+)=(?:"([^"]*)"|([^,]*))(?:,|$)')


def mend(arguments: Sequence[str]) -> None:
    """Give the jobs of this call of Snakemake the wildcards that they were sent with; a call by hand has none."""
    jobs = wildcards(arguments)
    if not jobs:
        return
    from snakemake.dag import DAG

    init = DAG.init

    def mended(dag: Any, *args: Any, **options: Any) -> Any:
        for job, right in zip(dag.workflow.dag_settings.target_jobs, jobs, strict=True):
            job.wildcards_dict.clear()
            job.wildcards_dict.update(right)
        return init(dag, *args, **options)

    DAG.init = mended


def wildcards(arguments: Sequence[str]) -> list[dict[str, str]]:
    """Wildcards of the jobs that a call of Snakemake is to run.

    Args:
        arguments: The call's own; an entry after ``--target-jobs`` is ``rule:name=value,name="a,b"``.

    Returns:
        Values by name, one entry per job.
    """
    if _OPTION not in arguments:
        return []
    jobs = []
    for entry in arguments[arguments.index(_OPTION) + 1 :]:
        if entry.startswith("--"):
            break
        _, _, named = entry.partition(":")
        jobs.append({name: quoted or plain for name, quoted, plain in _WILDCARD.findall(named)})
    return jobs
