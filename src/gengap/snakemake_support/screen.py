"""What a run draws on its terminal: a line for the whole, and one for each job that runs, with how far it is.

Jobs send their messages to the socket that the environment variable `logs.TERMINAL` names. Their warnings and errors
are said above the lines; the rest changes a job's line, and stands in its log file.
"""

import json
import logging
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from gengap import logs

_LEFT_FREE = 4  # lines of the terminal
_END = b""
_DATAGRAM = 8 * logs.LONGEST  # bytes: a character may take several


class _Fitting:
    """A message from which facts at the end are left out until it fits its place; no number is cut."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self._text
        while len(text) > options.max_width and ", " in text:
            text = text.rpartition(", ")[0]
        yield Text(text, no_wrap=True, overflow="ellipsis")


class _Told(ProgressColumn):
    """What a job said last."""

    def render(self, task: Task) -> _Fitting:
        """Its message, as much as fits."""
        return _Fitting(task.fields["told"])


class Screen:
    """Lines at the bottom of a terminal, which change while jobs run.

    Raises:
        OSError: The folder for temporary files cannot hold a socket: its name is too long, or it is full.
    """

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        narrow = self._console.width < 100
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=28)),
            BarColumn(10 if narrow else 20),
            _Told(table_column=Column(no_wrap=True, ratio=1)),
            console=self._console,
            transient=True,
            expand=True,
            refresh_per_second=4,
        )
        self._whole = self._progress.add_task("all jobs", total=None, told="")
        self._lines: dict[str, TaskID] = {}  # by log file
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="gengap-"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(str(self._folder / "socket"))
        except OSError:
            self._socket.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        os.environ[logs.TERMINAL] = str(self._folder / "socket")
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._progress.start()

    def whole(self, done: int, total: int, told: str) -> None:
        """Say how far the run is."""
        self._progress.update(self._whole, completed=done, total=total, told=f"{done} of {total}, {told}")

    def start(self, log_file: str, name: str) -> None:
        """Give a job that starts a line."""
        with self._lock:
            shown = len(self._lines) < max(self._console.height - _LEFT_FREE, 1)
            self._lines[log_file] = self._progress.add_task(name, total=None, told="", visible=shown)

    def end(self, log_file: str) -> None:
        """Take away the line of a job that has ended."""
        with self._lock:
            if (line := self._lines.pop(log_file, None)) is not None:
                self._progress.remove_task(line)
            for line in list(self._lines.values())[: max(self._console.height - _LEFT_FREE, 1)]:
                self._progress.update(line, visible=True)

    def say(self, text: str) -> None:
        """Say something that stays, above the lines."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Draw no more; what jobs that are still at work have to say goes to the terminal."""
        if not self._listener.is_alive():
            return
        del os.environ[logs.TERMINAL]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(_END, self._socket.getsockname())
        self._listener.join()
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._progress.stop()

    def _listen(self) -> None:
        while (message := self._socket.recv(_DATAGRAM)) != _END:
            told = json.loads(message)
            self._hear(told["log"], told["text"], told["level"], told["steps"])

    def _hear(self, log_file: str, text: str, level: int, steps: list[int] | None) -> None:
        if level >= logging.WARNING:
            self.say(f"{time.strftime('%H:%M:%S')} [{logs.label(log_file)}] {text}")
            return
        with self._lock:
            line = self._lines.get(log_file)
            if line is None or (steps and level >= logging.INFO):
                return  # how far it is was drawn, with the time left first
            if steps:
                self._progress.update(line, completed=steps[0], total=steps[1])
            self._progress.update(line, told=text)
