"""Locks: of concurrent jobs, of any user, folder or machine, only one trains a cell.

A lock is on one byte of a file. It ends with its process, however that ends, so none is ever left over, and
thousands cost one open file. Where a file system knows no locks, every job gets all names, and work may be done twice.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gengap.logs import log

_TAKEN = (errno.EACCES, errno.EAGAIN)
POLL_SECONDS = 2.0


@contextmanager
def locked(path: Path, names: Sequence[str], *, at_most: int | None = None) -> Iterator[list[str]]:
    """Lock all that is free of some names; if nothing is, wait until something is.

    A process has its locks once: it must not lock in the same file again inside.

    Args:
        path: The file of locks, made if it does not exist; never read, never removed.
        names: What may be locked, in order of preference.
        at_most: How many to lock; None: all that are free.

    Yields:
        The names that are locked, at least one, for as long as this lasts.
    """
    file = _open(path)
    try:
        mine = _take(file, path, names, at_most)
        if not mine:
            log.info("another job is working on %s: waiting for it", f"all {len(names)}" if len(names) > 1 else "it")
        while not mine:
            time.sleep(POLL_SECONDS)
            mine = _take(file, path, names, at_most)
        yield mine
    finally:
        os.close(file)  # which ends all locks of this process in this file


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if os.fstat(file).st_uid == os.geteuid():  # pragma: no branch - else another user made it at this moment
            os.fchmod(file, 0o666)  # another user's jobs lock here too
        return file


def _take(file: int, path: Path, names: Sequence[str], at_most: int | None) -> list[str]:
    mine: list[str] = []
    refusal: OSError | None = None
    for name in names:
        if len(mine) == at_most:
            break
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            if error.errno in _TAKEN:
                continue
            refusal = error
        mine.append(name)
    if refusal:
        log.warning("%s: cannot be locked (%s): jobs side by side may do the same work", path, refusal.strerror)
    return mine
