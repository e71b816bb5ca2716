"""How far a pack has come: one moving line in a terminal, plain lines at intervals in a log."""

import sys
import time

from tqdm import tqdm

from gengap.logs import log

_LINE_SECONDS = 15.0


class Progress:
    """Counts epochs, finished cells and samples of one pack.

    Args:
        epochs: The longest budget of its cells.
        cells: How many cells are trained.
        done: Epochs that were done before.
    """

    def __init__(self, epochs: int, cells: int, done: int = 0) -> None:
        self._epochs, self._cells, self._before = epochs, cells, done
        self._start = self._last_line = time.monotonic()
        self._samples = 0
        self._bar = tqdm(total=epochs, initial=done, unit="epoch", leave=False, disable=not sys.stderr.isatty())

    def epoch(self, done: int, finished: int, samples: int, accuracy: str) -> None:
        """Report one epoch more.

        Args:
            done: Epochs done.
            finished: Cells that need no further training.
            samples: Samples of this epoch, summed over networks.
            accuracy: A short summary of how training goes.
        """
        self._samples += samples
        now = time.monotonic()
        rate = self._samples / max(now - self._start, 1e-9)
        left = (now - self._start) / (done - self._before) * (self._epochs - done)
        state = f"{finished}/{self._cells} cells finished, {rate:,.0f} samples/s, {accuracy}"
        self._bar.update(1)
        self._bar.set_postfix_str(state, refresh=False)
        last = done == self._epochs or finished == self._cells
        if last or now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            log.info("epoch %d/%d, %s, %s left", done, self._epochs, state, _duration(0 if last else left))

    def close(self) -> None:
        """Remove the moving line."""
        self._bar.close()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
