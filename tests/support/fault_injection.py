"""Faults in the calls by which processes open, write, sync, rename, remove and lock files, by tests/faults/faults.c."""

import errno
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "faults/faults.c"
KINDS = ("write", "sync", "rename", "open", "unlink", "lock", "read", "truncate", "mkdir", "change")
KILL = -1  # in place of an error number

# What the calls of each kind may fail with, as POSIX and Linux's file systems have it.
NUMBERS: Mapping[str, tuple[int, ...]] = {
    "write": (errno.ENOSPC, errno.EIO, errno.EINTR),
    "sync": (errno.EIO, errno.ENOSPC, errno.EINTR),
    "rename": (errno.EACCES, errno.EIO, errno.ENOSPC),
    "open": (errno.EACCES, errno.EIO, errno.EINTR, errno.ENOSPC),
    "unlink": (errno.EACCES, errno.EIO),
    "lock": (errno.EINTR, errno.EIO, errno.ENOLCK),  # EACCES says that somebody else has it, which is no fault
    "read": (errno.EIO, errno.EINTR),
    "truncate": (errno.EIO, errno.ENOSPC, errno.EINTR),
    "mkdir": (errno.EACCES, errno.ENOSPC),
}


def build(folder: Path) -> Path:
    """Compile the library into a folder."""
    library = folder / "faults.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def environment(
    library: Path, roots: Iterable[Path], *, fault: str = "", counts: Path | None = None, record: Path | None = None
) -> dict[str, str]:
    """Variables by which a command and all that it starts are watched.

    Args:
        library: See `build`.
        roots: Only calls on files below these count.
        fault: ``kind:n:number``, ``kind:n+:number`` or ``kind:n:kill``; see faults.c.
        counts: A file in which the calls of all processes are counted together; it is made.
        record: A file to which every change is written; it is made.
    """
    variables = {"LD_PRELOAD": str(library), "FAULT_ROOTS": ":".join(map(str, roots))}
    if fault:
        variables["FAULT"] = fault
    if counts:
        counts.write_bytes(bytes(8 * len(KINDS)))
        variables["FAULT_COUNTS"] = str(counts)
    if record:
        record.touch()
        variables["FAULT_RECORD"] = str(record)
    return os.environ | variables


def counted(counts: Path) -> dict[str, int]:
    """How many calls of each kind a file of counts has."""
    content = counts.read_bytes()
    return {kind: int.from_bytes(content[8 * at : 8 * at + 8], "little") for at, kind in enumerate(KINDS)}


def command(folder: Path, *words: str, variables: Mapping[str, str], output: Path | None = None) -> tuple[int, str]:
    """Run a command in a process group of its own; returns its exit status and all that it printed.

    Args:
        folder: Where it runs.
        words: The command.
        variables: See `environment`.
        output: Where its output goes meanwhile: processes that outlive a killed command would hold a pipe open.
    """
    path = output or folder.with_name(f"{folder.name}.out")
    with path.open("wb") as file:
        done = subprocess.run(
            words,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return done.returncode, path.read_text(errors="replace")
