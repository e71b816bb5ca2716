"""Training in a copy of the project that stands still in the middle, until a test has interrupted it."""

import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gengap.snakemake_support import run_lock

SCHEDULE = "own.held"
_CODE = '''\
"""A constant rate; after the first epoch training stands still for as long as the project holds it."""

from pathlib import Path

from gengap.training.schedules import Decision

PART = {"summary": "Constant, and held by a test."}
HOLD = Path("hold")


def decide(settings, epochs, done, accuracies):
    if done == 1 and HOLD.is_fifo():
        HOLD.read_bytes()  # ends when the test has closed its end
    return Decision()
'''
_POLL_SECONDS = 0.05


def add_schedule(folder: Path) -> None:
    """Give a project the schedule `SCHEDULE`."""
    (folder / "own").mkdir()
    (folder / "own/held.py").write_text(_CODE)


def prepare(folder: Path, study: str, epochs: int = 20) -> None:
    """Let every network of the tiny study train that many epochs, so that it can be held."""
    add_schedule(folder)
    path = folder / study
    after = path.read_text().replace("epochs: 1,", f"epochs: {epochs},")
    after = after.replace("  training: {", f"  schedule: {SCHEDULE}\n  training: {{")
    assert after.count(SCHEDULE) == after.count(f"epochs: {epochs},") == 1
    path.write_text(after)


@contextmanager
def training(
    folder: Path, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command as a process group of its own; inside the block it trains and is held.

    After the block, what has survived trains on; `ended` waits for it.
    """
    os.mkfifo(folder / "hold")
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with held(folder, process):
            yield process
    except BaseException:
        with suppress(ProcessLookupError):  # all of it may have ended, which is then what failed
            os.killpg(process.pid, signal.SIGKILL)
        raise


@contextmanager
def held(folder: Path, process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Wait until a pack of a project with the FIFO ``hold`` stands still; let all go on after the block.

    Args:
        folder: Of the project.
        process: The command that runs it; if it ends, nothing will ever train.
    """
    hold = folder / "hold"
    while (end := _writing_end(hold)) is None:
        assert process.poll() is None, "it ended before it trained"
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        hold.unlink()  # first, so that nobody else begins to wait
        os.close(end)


def _writing_end(hold: Path) -> int | None:
    """A file descriptor, if somebody reads at the other end."""
    try:
        return os.open(hold, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def ended(folder: Path, process: "subprocess.Popen[bytes]") -> int:
    """Wait until a command, its run of Snakemake and all its jobs are gone; give the command's exit status."""
    status = process.wait()
    while True:
        with run_lock.alone(folder) as alone:
            if alone:
                return status
        time.sleep(_POLL_SECONDS)
