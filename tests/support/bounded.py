"""An end for what would wait for ever."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

SECONDS = 1800.0  # far more than anything takes on a busy machine


@contextmanager
def bounded(what: str, seconds: float = SECONDS) -> Iterator[None]:
    """Fail after some seconds; pytest's traceback shows for what the block waited."""

    def late(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"{what} did not end within {seconds:g} s. The traceback shows what it waited for.")

    before = signal.signal(signal.SIGALRM, late)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)  # of a block around this one
        signal.signal(signal.SIGALRM, before)
