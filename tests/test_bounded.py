"""A test that would wait for ever fails, and says so."""

import queue
import signal
import subprocess
import threading

import pytest
from bounded import bounded


@pytest.mark.parametrize(
    "wait",
    [
        threading.Event().wait,
        queue.Queue().get,
        lambda: subprocess.run(["sleep", "1000"]),
        lambda: subprocess.run(["sh", "-c", "sleep 10 & wait"], capture_output=True),
    ],
    ids=["event", "queue", "process", "output"],
)
def test_what_waits_for_ever_fails(wait):
    with pytest.raises(pytest.fail.Exception, match=r"^this did not end within 0.1 s"), bounded("this", 0.1):
        wait()


def test_the_bound_around_it_stays():
    with bounded("all", 1000):
        with bounded("a part of it", 500):
            pass
        assert 500 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1000
