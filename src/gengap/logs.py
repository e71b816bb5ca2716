"""Messages of one job: to the console and to its log file; a user's mistake without a traceback.

Where a run draws on its terminal, its jobs must not write there: they send their messages to the run (`TERMINAL`).
"""

import contextlib
import json
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gengap import layout
from gengap.errors import UserError, refusal
from gengap.escaping import printable

log = logging.getLogger("gengap")
DETAIL = "detail"  # `log.info(..., extra={DETAIL: True})`: of a job with a log file, for that file only
STEPS = "steps"  # `log.debug(..., extra={STEPS: (3, 20)})`: for a terminal on which the run draws how far it is
TERMINAL = "GENGAP_TERMINAL"  # environment variable: the socket at which such a run waits
LONGEST = 30_000  # characters of a message to a run
_UNWRITABLE = "%s: cannot be written (%s): messages of this job are shown here alone"


@contextmanager
def job(log_file: str | Path | None = None) -> Iterator[logging.Logger]:
    """Log to the console and to `log_file`; end the process with one message on a `UserError`."""
    # PyTorch's forward differentiation uses what PyTorch deprecates, which is no news to who runs a study.
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    log.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [_console(log_file)]
    unwritable: OSError | None = None
    if log_file:
        try:
            Path(log_file).parent.mkdir(parents=True, exist_ok=True)
            handlers.append(_LogFile(log_file, mode="w", encoding="utf-8"))
            handlers[-1].setLevel(logging.INFO)
        except OSError as error:
            unwritable = error
    for handler in handlers:
        if isinstance(handler, _Run):
            log.setLevel(logging.DEBUG)
            handler.setFormatter(_Printable("%(message)s"))
        else:
            # Jobs run side by side: on the console, a line says whose it is.
            on_console = not isinstance(handler, logging.FileHandler)
            # A percent sign would be read as a place holder.
            prefix = f"[{label(log_file)}] ".replace("%", "%%") if log_file and on_console else ""
            if log_file and on_console:
                handler.addFilter(lambda record: not hasattr(record, DETAIL))
            handler.setFormatter(_Printable(f"%(asctime)s {prefix}%(message)s", datefmt="%H:%M:%S"))
        log.addHandler(handler)
    if unwritable:
        log.warning(_UNWRITABLE, log_file, unwritable.strerror)
    try:
        yield log
    except UserError as error:
        log.error("error: %s", error)
        sys.exit(1)
    except Exception as error:
        if told := refusal(error):
            log.error("error: %s", told)
        else:
            log.exception("this is a bug in gengap, not in your input")
        sys.exit(1)
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            with contextlib.suppress(OSError):  # what a log file could not take was said
                handler.close()


class _LogFile(logging.FileHandler):
    """A job's log file. If it cannot be written, that is said once, and the work goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        log.removeHandler(self)
        error = sys.exc_info()[1]
        log.warning(_UNWRITABLE, self.baseFilename, getattr(error, "strerror", None) or error)


class _Printable(logging.Formatter):
    """Messages may hold names from a study's file or an archive."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _Run(logging.Handler):
    """The run of which this process is a job, which draws on the terminal."""

    def __init__(self, address: str, log_file: str | Path) -> None:
        super().__init__()
        self._log_file, self._socket = Path(log_file), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.settimeout(1.0)
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)[:LONGEST]
        steps = getattr(record, STEPS, None)
        told = {"log": str(self._log_file), "text": text, "level": record.levelno, "steps": steps}
        try:
            self._socket.send(json.dumps(told).encode())
        except OSError:  # the run has ended, and draws no more
            if record.levelno >= logging.INFO:
                print(f"[{label(self._log_file)}] {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        self._socket.close()
        super().close()


def _console(log_file: str | Path | None) -> logging.Handler:
    """Where messages for a person go: to the run that draws on the terminal, or to stderr."""
    address = os.environ.get(TERMINAL)
    if log_file and address:
        with contextlib.suppress(OSError):  # on another machine, or of a run that was killed
            return _Run(address, log_file)
    return logging.StreamHandler(sys.stderr)


def label(log_file: str | Path) -> str:
    """A job's short name from its log file: ``logs/train/width=4_pack=0.log`` gives ``train width=4_pack=0``."""
    parts = Path(log_file).with_suffix("").parts
    inside = parts[parts.index(layout.LOGS) + 1 :] if layout.LOGS in parts else parts[-1:]
    return " ".join(inside)
