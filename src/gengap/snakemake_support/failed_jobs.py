"""Workaround: Snakemake calls the outputs of a failed job complete (github.com/snakemake/snakemake/issues/3808).

It records the failed job's parameters for them and takes their marks as incomplete away. It also removes them, except
``update()`` outputs, of which it puts the old version back: so the next run would find old networks up to date with new
settings.
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
