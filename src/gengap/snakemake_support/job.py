"""The setup of every job: logging of its messages, and a lock that shows other runs that it is alive."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gengap import logs
from gengap.snakemake_support import run_lock


@contextmanager
def job(log_file: str | Path) -> Iterator[logging.Logger]:
    """As `gengap.logs.job`, for a job of a run of Snakemake: a run that was killed leaves its jobs at work.

    Args:
        log_file: The job's log file.
    """
    with logs.job(log_file) as log, run_lock.alive():
        yield log
