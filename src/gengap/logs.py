"""Messages of one job: to the console and to its log file; a user's mistake without a traceback."""

import contextlib
import logging
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
_UNWRITABLE = "%s: cannot be written (%s): messages of this job are shown here alone"


@contextmanager
def job(log_file: str | Path | None = None) -> Iterator[logging.Logger]:
    """Log to the console and to `log_file`; end the process with one message on a `UserError`."""
    # PyTorch's forward differentiation uses what PyTorch deprecates, which is no news to who runs a study.
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    log.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    unwritable: OSError | None = None
    if log_file:
        try:
            Path(log_file).parent.mkdir(parents=True, exist_ok=True)
            handlers.append(_LogFile(log_file, mode="w", encoding="utf-8"))
        except OSError as error:
            unwritable = error
    for handler in handlers:
        # Jobs run side by side: on the console, a line says whose it is.
        on_console = not isinstance(handler, logging.FileHandler)
        prefix = _label(Path(log_file)) if log_file and on_console else ""
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
        if isinstance(error, OSError) and (told := refusal(error)):
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


def _label(log_file: Path) -> str:
    """A job's short name from its log file: ``logs/train/width=4_pack=0.log`` gives ``[train width=4_pack=0] ``."""
    parts = log_file.with_suffix("").parts
    inside = parts[parts.index(layout.LOGS) + 1 :] if layout.LOGS in parts else parts[-1:]
    # A percent sign would be read as a place holder.
    return f"[{' '.join(inside)}] ".replace("%", "%%")
