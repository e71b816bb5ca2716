"""How far a long work has come: plain lines, which stay readable where several jobs share a terminal or a log.

And how fast it went, which `gengap plan` learns from.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gengap.logs import DETAIL, STEPS, log

_FIRST_SECONDS, _MOST_SECONDS = 5.0, 60.0  # between two lines
_DRAWN_SECONDS = 0.5  # between two messages to a run that draws on the terminal
_LONG_SECONDS = 10.0  # of work whose end is worth a line on the terminal


@dataclass(frozen=True)
class Pace:
    """Work that was done, and the time that is in proportion to it.

    Attributes:
        work: In any unit, such as samples that passed through networks.
        seconds: Without what is done once, such as compiling.
    """

    work: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Pace") -> "Pace":
        return Pace(self.work + other.work, self.seconds + other.seconds)


class Progress:
    """Counts the steps of a work, says how far it has come and how long it will take, and keeps its pace.

    Args:
        step: What a step is called: ``epoch``.
        steps: How many there are.
        unit: What the work of a step is counted in: ``samples``.
        done: Steps that were done before.
    """

    def __init__(self, step: str, steps: int, unit: str, done: int = 0) -> None:
        self._step, self._steps, self._unit, self._before = step, steps, unit, done
        self._start = time.monotonic()
        self._next = self._start + _FIRST_SECONDS
        self._next_drawn = self._start
        self._work = 0.0
        self._first: tuple[float, float, int] | None = None  # end of the first step, its work, steps by then
        self._end = self._start

    def advance(self, done: int, work: float, *facts: str, last: bool = False) -> None:
        """Report that steps are done, and say so if it is time for a line or all is done.

        Args:
            done: Steps done in all.
            work: Work of the steps since the last report.
            facts: Short texts: how it goes.
            last: Whether the work ends here, whatever steps are left.
        """
        now = self._end = time.monotonic()
        self._work += work
        self._first = self._first or (now, work, done)
        last = last or done >= self._steps
        said, drawn = last or now >= self._next, last or now >= self._next_drawn
        if not said and not drawn:
            return
        spent = now - self._start
        pace = self.pace()
        rate = pace.work / max(pace.seconds, 1e-9)
        left = self._seconds_per_step(done) * (self._steps - done)
        speed = f"{rate:,.0f} {self._unit}/s" if rate >= 10 else f"{rate:.2g} {self._unit}/s"
        ending = f"took {duration(spent)}" if last else f"{duration(left)} left"
        told = [f"{self._step} {done}/{self._steps}", *facts[:1], speed, *facts[1:]]
        if drawn:
            self._next_drawn = now + _DRAWN_SECONDS
            log.debug("%s", ", ".join([ending, *told]), extra={STEPS: (done, self._steps)})
        if said:
            # Often at first, when one wonders whether it works; every minute once it has run for minutes.
            self._next = now + min(max(_FIRST_SECONDS, spent / 4), _MOST_SECONDS)
            short = {DETAIL: True} if last and spent < _LONG_SECONDS else {}
            log.info("%s", ", ".join([*told, ending]), extra=short | {STEPS: (done, self._steps)})

    def pace(self) -> Pace:
        """The work so far, and its time at the rate of all steps but the first, which may have compiled or read."""
        if self._first is None:
            return Pace()
        when, first, _ = self._first
        if self._work > first:
            return Pace(self._work, (self._end - when) * self._work / (self._work - first))
        return Pace(self._work, self._end - self._start)

    def _seconds_per_step(self, done: int) -> float:
        """Of all steps but the first, once there are others."""
        if self._first is not None and done > self._first[2]:
            return (self._end - self._first[0]) / (done - self._first[2])
        return (self._end - self._start) / max(done - self._before, 1)


@contextmanager
def told(expected: float | None, what: str = "") -> Iterator[None]:
    """Say of a work without steps, from time to time, how long it has taken and how long it will take.

    Args:
        expected: Seconds that it took before, or was predicted to take; None: not known.
        what: What the work is, before the rest of the line.
    """
    ended, start = threading.Event(), time.monotonic()

    def tell() -> None:
        wait = _LONG_SECONDS
        while not ended.wait(wait):
            spent = time.monotonic() - start
            log.info("%s%s", what, since(spent, expected))
            wait = min(max(_LONG_SECONDS, spent / 4), _MOST_SECONDS)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def since(spent: float, expected: float | None) -> str:
    """How long a work has taken, and how long it will take."""
    if expected is None:
        return f"at work for {duration(spent)}; how long it takes is not known, since none has run on this machine"
    if spent > expected:
        return f"at work for {duration(spent)}, longer than the {duration(expected)} that were predicted"
    return f"at work for {duration(spent)}, {duration(expected - spent)} left"


def duration(seconds: float) -> str:
    """A duration as one reads it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
