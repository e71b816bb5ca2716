"""Jobs that Snakemake sends to other machines: their wildcards arrive as they were sent.

Snakemake puts a wildcard's value that has commas, such as a pack's name, in double quotes, and where the job runs takes
it apart at its commas all the same (github.com/snakemake/snakemake/issues/2366). For a job array, Slurm's plugin puts
the whole call in double quotes as well, so that those within are lost. So values are sent with neither, as in an URL.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote


def install() -> None:
    """Let this process of Snakemake send and read wildcards in this way."""
    from snakemake.dag import DAG
    from snakemake_interface_executor_plugins.executors import real

    if real.encode_target_jobs_cli_args is encoded:
        return
    real.encode_target_jobs_cli_args = encoded
    init = DAG.init

    def read(dag: Any, *args: Any, **options: Any) -> Any:
        for job in dag.workflow.dag_settings.target_jobs:
            job.wildcards_dict.update(decoded(job.wildcards_dict))
        return init(dag, *args, **options)

    DAG.init = read


def encoded(jobs: Sequence[Any]) -> list[str]:
    """What the option ``--target-jobs`` gets.

    Args:
        jobs: Snakemake's jobs, each with a rule's name and its wildcards.

    Returns:
        An entry ``rule:name=value,name=value`` per job, without quotes, blanks, or commas within a value.
    """
    return [
        f"{job.rulename}:" + ",".join(f"{name}={quote(value, safe='=')}" for name, value in job.wildcards_dict.items())
        for job in jobs
    ]


def decoded(wildcards: dict[str, str]) -> dict[str, str]:
    """The values that Snakemake read from such an entry, as they were before `encoded`."""
    return {name: unquote(value) for name, value in wildcards.items()}
