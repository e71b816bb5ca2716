"""Starting a command that trains, to interrupt it."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

DEADLINE_SECONDS = 240
LOG = "results/tiny/logs/train/width=3_pack=0.log"


def begin(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command as a process group of its own, and return it once the pack of width 3 is being trained."""
    log = folder / LOG
    log.unlink(missing_ok=True)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    limit = time.monotonic() + DEADLINE_SECONDS
    while not log.exists() or "are to be trained" not in log.read_text():
        assert process.poll() is None, "it ended before it trained"
        assert time.monotonic() < limit
        time.sleep(0.05)
    time.sleep(1.0)
    assert process.poll() is None, "it finished before it was interrupted"
    return process
