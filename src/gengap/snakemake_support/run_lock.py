"""Which runs of Snakemake are alive in this project, so that the lock of a killed run is removed without the user.

Snakemake locks the files of a run by a list in ``.snakemake/locks``, which stays when a run is killed. So every run and
every job also holds a shared lock of the operating system, which ends with its process in every case. A process that
gets this lock exclusively knows that no other is alive and that every list is left over. A file with a
process number would not do: numbers are reused, and mean nothing on another machine. On a file system without such
locks nothing is removed, and Snakemake's own message says what to do.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gengap import layout


@contextmanager
def alive(project: Path = Path()) -> Iterator[None]:
    """Count as living while this lasts; where the project cannot be written or locked, nothing happens."""
    held = _open(project)
    try:
        if held is not None:
            _lock(held, fcntl.LOCK_SH)
        yield
    finally:
        if held is not None:
            os.close(held)


@contextmanager
def alone(project: Path = Path()) -> Iterator[bool]:
    """Give whether no run and no job lives here, and let none begin while this lasts.

    Call it before `start`. Where files cannot be locked nobody is known to live.
    """
    held = _open(project)
    free = True
    try:
        if held is not None:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
            except OSError:
                pass
        yield free
    finally:
        if held is not None:
            os.close(held)


def start(project: Path = Path()) -> bool:
    """Remove the locks of killed runs, unless another run or one of its jobs lives; then live until this process ends.

    Args:
        project: The folder in which Snakemake runs.

    Returns:
        Whether a lock was removed.
    """
    held = _open(project)
    if held is None:
        return False
    left = list((project / layout.SNAKEMAKE_LOCKS).glob("*.lock"))
    removed = bool(left) and _lock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for path in left if removed else ():
        path.unlink(missing_ok=True)
    # Left open on purpose. On the way from alone to shared it may be free for a moment, when no live list exists yet.
    _lock(held, fcntl.LOCK_SH)
    return removed


def _open(project: Path) -> int | None:
    if not (project / layout.SNAKEMAKE).is_dir():
        return None
    try:
        (project / layout.RUN_LOCK).parent.mkdir(parents=True, exist_ok=True)
        return os.open(project / layout.RUN_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def _lock(held: int, how: int) -> bool:
    """Whether the lock was had; a file system that knows none never gives it."""
    try:
        fcntl.flock(held, how)
    except OSError:
        return False
    return True
