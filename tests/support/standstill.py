"""Processes that stand still at a chosen point of their work, until a test signals, releases or kills them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from forked import CONTEXT

# How often a test kills what it disturbs at random; a run at night may do it more often.
KILLS = int(os.environ.get("GENGAP_TEST_KILLS", "6"))


@dataclass
class Points:
    """Counts points of the work, in the process that works.

    Attributes:
        to_test: Where the test listens.
        told: At which point the test is told, from 1.
        held: At which point, the same or a later one, the process stands still until the test lets it go on.
        count: Points reached.
    """

    to_test: Connection
    told: int
    held: int
    count: int = 0

    def reached(self) -> None:
        """Call at every point."""
        self.count += 1
        if self.count == self.told:
            self.to_test.send_bytes(b"told")
        if self.count == self.held:
            self.to_test.recv_bytes()

    def before(self, owner: Any, name: str) -> None:
        """Make a point of every call of a function or method."""
        original: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.reached()
            return original(*arguments, **options)

        setattr(owner, name, counted)


@contextmanager
def told(work: Callable[..., None], *arguments: Any, at: int, held: int | None = None) -> Iterator[BaseProcess]:
    """Run `work(points, *arguments)` in a process; the block begins when it has reached a point.

    The process gets no further than point `held` inside the block, so it lives however long the test takes, and is
    waited for at the block's end. Without `held` it stands still at the point itself.

    Raises:
        EOFError: If it ended before that point.
    """
    to_process, to_test = CONTEXT.Pipe()
    process = CONTEXT.Process(target=work, args=(Points(to_test, at, held or at), *arguments), daemon=True)
    process.start()
    to_test.close()  # so that its end is heard
    try:
        to_process.recv_bytes()
        yield process
        if process.is_alive():
            to_process.send_bytes(b"go on")
    except BaseException:
        process.kill()
        raise
    finally:
        process.join()


def kill(work: Callable[..., None], *arguments: Any, at: int, held: int | None = None, seconds: float = 0.0) -> None:
    """Run `work(points, *arguments)` in a process; kill it some seconds after a point, before it has left `held`."""
    with told(work, *arguments, at=at, held=held) as process:
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert process.exitcode == -signal.SIGKILL
