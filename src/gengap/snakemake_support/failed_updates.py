"""Outputs that a failed job was to update: Snakemake puts the old ones back, and then takes them for new.

It records the failed job's params and time for the files that it restored (`Job.postprocess` calls `finished` after
errors too; seen in Snakemake 9.27). The next run would find old networks up to date with new settings.
"""

import functools
from typing import Any


def install() -> None:
    """Let this process of Snakemake record nothing of such a job: its outputs stay marked as incomplete."""
    from snakemake.io import is_flagged
    from snakemake.jobs import Job
    from snakemake.persistence import PersistenceBase

    postprocess, finished = Job.postprocess, PersistenceBase.finished
    if hasattr(postprocess, "__wrapped__"):
        return

    @functools.wraps(postprocess)
    async def noting_failure(job: Any, *args: Any, error: bool = False, **options: Any) -> None:
        job.restored = error and any(is_flagged(path, "update") for path in job.output)
        await postprocess(job, *args, error=error, **options)

    @functools.wraps(finished)
    async def recording_success(persistence: Any, job: Any) -> None:
        if not getattr(job, "restored", False):
            await finished(persistence, job)

    Job.postprocess = noting_failure
    PersistenceBase.finished = recording_success
