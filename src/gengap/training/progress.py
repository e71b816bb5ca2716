"""How far a pack has come: plain lines, which stay readable where several jobs share a terminal or a log."""

import time

from gengap.logs import log

_FIRST_SECONDS, _MOST_SECONDS = 5.0, 60.0  # between two lines


class Progress:
    """Counts epochs, finished cells and samples of one pack.

    Args:
        epochs: The longest budget of its cells.
        cells: How many cells are trained.
        done: Epochs that were done before.

    Attributes:
        samples: Samples of the epochs reported so far, summed over networks.
    """

    def __init__(self, epochs: int, cells: int, done: int = 0) -> None:
        self._epochs, self._cells, self._before = epochs, cells, done
        self._start = time.monotonic()
        self._next = self._start + _FIRST_SECONDS
        self.samples = 0

    def epoch(self, done: int, finished: int, samples: int, accuracy: str) -> None:
        """Report one epoch more, if it is time for a line or the last epoch.

        Args:
            done: Epochs done.
            finished: Cells that need no further training.
            samples: Samples of this epoch, summed over networks.
            accuracy: A short summary of how training goes.
        """
        self.samples += samples
        now = time.monotonic()
        last = done == self._epochs or finished == self._cells
        if not last and now < self._next:
            return
        spent = now - self._start
        # Often at first, when one wonders whether it works; every minute once it has run for minutes.
        self._next = now + min(max(_FIRST_SECONDS, spent / 4), _MOST_SECONDS)
        left = spent / (done - self._before) * (self._epochs - done)
        ending = f"took {_duration(spent)}" if last else f"{_duration(left)} left"
        rate = self.samples / max(spent, 1e-9)
        log.info(
            "epoch %d/%d, %d/%d cells finished, %s samples/s, %s, %s",
            done,
            self._epochs,
            finished,
            self._cells,
            f"{rate:,.0f}",
            accuracy,
            ending,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
