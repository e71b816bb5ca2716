"""Messages of one job: to the console and to its log file; a user's mistake without a traceback."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gengap import layout
from gengap.errors import UserError

log = logging.getLogger("gengap")
DETAIL = "detail"  # `log.info(..., extra={DETAIL: True})`: of a job with a log file, for that file only


@contextmanager
def job(log_file: str | Path | None = None) -> Iterator[logging.Logger]:
    """Log to the console and to `log_file`; end the process with one message on a `UserError`."""
    # PyTorch's forward differentiation uses what PyTorch deprecates, which is no news to who runs a study.
    warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
    log.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode="w", encoding="utf-8"))
    for handler in handlers:
        # Jobs run side by side: on the console, a line says whose it is.
        on_console = not isinstance(handler, logging.FileHandler)
        prefix = _label(Path(log_file)) if log_file and on_console else ""
        if log_file and on_console:
            handler.addFilter(lambda record: not hasattr(record, DETAIL))
        handler.setFormatter(logging.Formatter(f"%(asctime)s {prefix}%(message)s", datefmt="%H:%M:%S"))
        log.addHandler(handler)
    try:
        yield log
    except UserError as error:
        log.error("error: %s", error)
        sys.exit(1)
    except Exception:
        log.exception("this is a bug in gengap, not in your input")
        sys.exit(1)
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


def _label(log_file: Path) -> str:
    """A job's short name from its log file: ``logs/train/width=4_pack=0.log`` gives ``[train width=4_pack=0] ``."""
    parts = log_file.with_suffix("").parts
    inside = parts[parts.index(layout.LOGS) + 1 :] if layout.LOGS in parts else parts[-1:]
    # A percent sign would be read as a place holder.
    return f"[{' '.join(inside)}] ".replace("%", "%%")
