"""Workaround: Snakemake treats the outputs of a failed job as complete (github.com/snakemake/snakemake/issues/3808).

When a job fails, it records the job's new parameters for its outputs and no longer marks them as incomplete. It
removes the outputs, but restores the old version of ``update()`` outputs. So the next run would take networks of the
old settings for those of the new ones.
"""

from collections.abc import Callable
from typing import Any

from gengap.snakemake_support.wrapping import wrap


def install() -> None:
    """Mark outputs of failed jobs as incomplete in this process of Snakemake, so that the next run makes them again."""
    from snakemake.jobs import Job

    wrap(Job, "postprocess", _marking)


def _marking(original: Callable[..., Any]) -> Callable[..., Any]:
    async def postprocess(job: Any, *args: Any, error: bool = False, **options: Any) -> None:
        await original(job, *args, error=error, **options)
        if error:
            job.dag.workflow.persistence.started(job)

    return postprocess
