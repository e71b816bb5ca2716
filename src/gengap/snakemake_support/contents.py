"""Workaround: what files hold decides what is made again, and when they were written decides nothing.

Snakemake compares an input's content only if its time is later than the output's, so an edit under a clock that was
wrong, or a file that was put back with its old time, would go unnoticed. And it deletes the new output of a job whose
input bears a later time ("clock skew").
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gengap.logs import log
from gengap.snakemake_support import records
from gengap.snakemake_support.wrapping import wrap

_MOST_BYTES = 64 * 2**20  # of a file without a digest of its own; no such input of ours is larger


def install() -> None:
    """In this process of Snakemake, compare contents whatever the times are, and note them when a job has ended."""
    from snakemake.jobs import Job

    wrap(Job, "postprocess", _noting)
    wrap(persistence(), "input_changed", _comparing)


def persistence() -> Any:
    """Snakemake's class of its records, which moves and is renamed from release to release."""
    from snakemake import persistence as module

    return getattr(module, "PersistenceBase", None) or getattr(module, "Persistence", None)


def content(path: Path) -> str:
    """The digest of what a file holds; empty if that is not known or the file not there."""
    try:
        state = path.stat()
        return _content(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    except OSError:
        return ""


@functools.cache  # many jobs read the same code and data
def _content(path: Path, _inode: int, size: int, *_times: int) -> str:
    with path.open("rb") as file:
        start = file.read(512)
        if start.startswith(b"gengap "):  # an HDF5 file of ours; see `gengap.files.file_digest`
            return start.split(maxsplit=2)[1].decode("ascii", "replace")
        if size > _MOST_BYTES:
            return ""
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _noting(original: Callable[..., Any]) -> Callable[..., Any]:
    async def postprocess(job: Any, *args: Any, error: bool = False, **options: Any) -> None:
        await original(job, *args, error=error, **{**options, "check_output_mtime": False})
        if not error and job.dag.workflow.is_main_process:
            inputs = {str(path): content(Path(path)) for path in job.input}
            for path in job.output:
                records.seal(Path(path), inputs, content(Path(path)))

    return postprocess


def _comparing(original: Callable[..., Any]) -> Callable[..., Any]:
    def input_changed(self: Any, job: Any, file: Any = None) -> Any:
        if file is None:
            return (output for output in job.output if input_changed(self, job, output))
        return original(self, job, file=file) or _changed(Path(file))

    return input_changed


def _changed(output: Path) -> bool:
    """Whether an input holds something else than when the output was made, or the output than what was made."""
    made = records.sealed(output)
    # An HDF5 file tells by itself, when it is read, whether it is whole and of this version.
    if output.suffix != ".h5" and made.get("output") and content(output) not in ("", made["output"]):
        _say_once(output)
        return True
    return any(digest and content(Path(path)) not in ("", digest) for path, digest in made.get("inputs", {}).items())


@functools.cache
def _say_once(output: Path) -> None:
    log.warning("warning: %s is not what was made, and is made again.", output)
