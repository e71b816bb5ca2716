"""Workaround: Snakemake overwrites outputs and records in place, also where DVC has linked them to its cache.

With DVC's ``cache.type`` ``symlink`` or ``hardlink`` a file of the project is the cached object itself, read-only: to
write it fails, or damages the cache. So what a job is to write becomes a file of its own before, as by
``dvc unprotect``.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.snakemake_support.wrapping import wrap


def install() -> None:
    """In this process of Snakemake, let no job write through a link."""
    from snakemake.jobs import Job

    wrap(Job, "prepare", _unlinking)


def own_records(project: Path = Path()) -> None:
    """Make all of Snakemake's records files of their own; call it before a run writes any."""
    own(path for path in (project / layout.RECORDS).rglob("*") if not path.is_dir())


def own(paths: Iterable[Path]) -> None:
    """Replace symbolic links, and files that have other names too, by copies of their own.

    Args:
        paths: Files, which need not exist. Folders stay what they are.

    Raises:
        OSError: If a copy cannot be made.
    """
    for path in paths:
        if path.is_file() and (path.is_symlink() or path.stat().st_nlink > 1):
            file, name = tempfile.mkstemp(dir=path.parent, prefix=".")
            os.close(file)
            try:
                shutil.copyfile(path, name)
                shutil.copystat(path, name)
                Path(name).chmod(path.stat().st_mode | 0o200)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise


def _unlinking(original: Callable[..., Any]) -> Callable[..., Any]:
    async def prepare(job: Any) -> None:
        own(Path(output) for output in job.output)
        await original(job)

    return prepare
