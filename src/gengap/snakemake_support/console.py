"""What a run says on the terminal: what is to do, how far it has come, how long it will take, and what failed.

Snakemake's own lines are ten per job. They go to its log file as before, and to the terminal with ``--verbose``. On a
terminal, each job that runs has a line that changes (`gengap.snakemake_support.screen`); elsewhere jobs write lines of
their own: of long work how far it is, and warnings.
"""

import contextlib
import os
import sys
import time
from collections import Counter, defaultdict
from logging import WARNING, LogRecord
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from gengap import logs
from gengap.counting import count
from gengap.progress import duration
from gengap.snakemake_support import failures
from gengap.snakemake_support.screen import Screen

_FIRST_SECONDS, _MOST_SECONDS = 10.0, 60.0  # between two lines
_UNKNOWN = "how long the others take is not known yet"
# Rules that only name what is to be made: they are no jobs to a person, and the plan does not count them.
without_output: set[str] = set()
_REASON = 100  # characters of it that are shown
# What Snakemake says of every run, and nobody needs on the terminal.
_NOISE = (
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Conda environments: ignored",
    "Elapsed time: ",
    "Execute ",
    "Group jobs: inactive",
    "Provided cores",
    "Provided remote nodes",
    "Provided resources",
    "Reasons:",
    "Rules claiming more threads",
    "Select jobs to execute",
    "Shutting down, this might take some time",
    "Singularity containers: ignored",
    "Using shell:",
    "host: ",
)
# And what it says of every job that fails: one line says which, and where its log is.
_OF_FAILURES = (
    "Cannot restore ",
    "Exiting because a job execution failed",
    "Removing output files of failed job",
    "Restored previous version of ",
)


class LogHandler(LogHandlerBase):
    """A logger plugin of Snakemake, named ``gengap`` in profiles/default."""

    def __post_init__(self) -> None:
        """Begin to count."""
        self._begin = time.monotonic()
        self._next = self._begin + _FIRST_SECONDS
        self._to_do: Counter[str] = Counter()  # jobs that have not ended, by rule
        self._running: dict[int, tuple[str, float, str]] = {}  # rule, start and log file by job
        self._messages: dict[int, str] = {}  # what a job does, by job
        self._failed = False
        self._seconds: dict[str, list[float]] = defaultdict(list)  # of the jobs that have ended, by rule
        self._counted = self._told_end = False
        self._names = self._names_done = 0  # jobs of rules in `without_output`
        self._screen: Screen | None = None

    @property
    def writes_to_stream(self) -> bool:
        """It takes the place of Snakemake's own handler."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """The log file is Snakemake's own."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's own obeys ``--quiet``."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's own serves what is passed on as it is."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """Nothing is drawn."""
        return False

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._screen:
            self._screen.close()
        super().close()

    def emit(self, record: LogRecord) -> None:
        """Say what a record says, if a person needs it."""
        event = getattr(record, "event", None)
        said = vars(record)
        if self.common_settings.verbose:
            self._say(self.format(record))
        elif event == LogEvent.RUN_INFO:
            self._count(said["stats"])
        elif event == LogEvent.JOB_INFO:
            self._start(said)
        elif event == LogEvent.JOB_FINISHED:
            self._end(said["job_id"])
        elif event == LogEvent.PROGRESS:
            self._progress(said["done"], said["total"])
        elif event == LogEvent.JOB_ERROR:
            self._fail(said)
        elif event == LogEvent.SHELLCMD and self.common_settings.printshellcmds:
            self._say(self.format(record))
        elif event == LogEvent.ERROR:
            self._say_if_any(failures.told(self.format(record), without_output, failed=self._failed))
        elif event in (None, LogEvent.GROUP_ERROR, LogEvent.GROUP_INFO):
            text = self.format(record).strip()
            noise = _OF_FAILURES if record.levelno >= WARNING else (*_NOISE, *_OF_FAILURES)
            self._say_if_any("" if text.startswith(noise) else text)

    def _say_if_any(self, text: str) -> None:
        if text:
            self._say(text)

    def _say(self, text: str) -> None:
        if self._screen:
            self._screen.say(text)
            return
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        print(text, file=stream, flush=True)

    def _count(self, stats: Any) -> None:
        """Say how many jobs there are, once; a dry run would tell it twice."""
        if self._counted:
            return
        self._counted = True
        self._to_do = Counter(
            {rule: int(number) for rule, number in stats.items() if rule not in {"total", *without_output}}
        )
        kinds: Counter[str] = Counter()
        for rule, number in self._to_do.items():
            kinds[rule.split("_", 1)[0] if rule.startswith(("figure_", "table_")) else rule] += number
        total = sum(self._to_do.values())
        self._names = sum(int(number) for rule, number in stats.items() if rule in without_output)
        self._say(f"{count(total, 'job')}: " + ", ".join(f"{number} {kind}" for kind, number in kinds.items()))

    def _start(self, said: dict[str, Any]) -> None:
        """Note that a job starts; a dry run says why it would."""
        if self.common_settings.dryrun:
            if said["rule_msg"]:
                self._say(f"Job {said['jobid']}: {said['rule_msg']}")
                self._say(f"    {_short(said['reason'])}")
        else:
            log_file = str(next(iter(said.get("log") or ()), ""))
            self._running[said["jobid"]] = (said["rule_name"], time.monotonic(), log_file)
            self._messages[said["jobid"]] = said["rule_msg"] or ""
            if self._screen is None and self._draws():
                with contextlib.suppress(OSError):  # plain lines then
                    self._screen = Screen()
                    self._screen.whole(0, self._to_do.total(), _UNKNOWN)
            if self._screen and log_file:
                self._screen.start(log_file, logs.label(log_file))

    def _draws(self) -> bool:
        """Whether lines can change where messages go."""
        return not self.common_settings.stdout and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def _end(self, job: int) -> None:
        if job in self._running:
            rule, start, log_file = self._running.pop(job)
            if rule in without_output:
                self._names_done += 1
                return
            self._to_do[rule] -= 1
            self._seconds[rule].append(time.monotonic() - start)
            if self._screen:
                self._screen.end(log_file)

    def _progress(self, done: int, total: int) -> None:
        """A line from time to time, and when all is done."""
        done, total = done - self._names_done, total - self._names
        if self._told_end or not total:
            return
        self._told_end = done == total
        now = time.monotonic()
        spent = now - self._begin
        if self._screen and done < total:
            self._screen.whole(done, total, self._left(spent))
            return
        if done < total and now < self._next:
            return
        self._next = now + min(max(_FIRST_SECONDS, spent / 4), _MOST_SECONDS)
        ending = f"took {duration(spent)}" if done == total else self._left(spent)
        self._say(f"{time.strftime('%H:%M:%S')} {done} of {total} jobs done, {ending}")

    def _left(self, spent: float) -> str:
        """How long the other jobs will take, if they take as long as those of their rule and as many run at once."""
        finished = sum(map(sum, self._seconds.values()))
        at_once = max(finished / max(spent, 1e-9), 1.0)
        left, unknown = 0.0, False
        for rule, number in self._to_do.items():
            known = self._seconds.get(rule)
            left += number * sum(known) / len(known) if known else 0.0
            unknown = unknown or (number > 0 and not known)
        if unknown and left / at_once < 1:
            return _UNKNOWN
        return f"{'at least ' if unknown else ''}{duration(left / at_once)} left"

    def _fail(self, said: dict[str, Any]) -> None:
        """What failed, and where it says why."""
        self._failed = True
        message = said.get("rule_msg") or self._messages.get(said.get("jobid", -1)) or f"Rule {said['rule_name']}"
        files = list(map(str, said.get("log") or ()))
        where = f"; its log: {', '.join(files)}" if files else ""
        self._say(f"error: {message} failed{where}")
        if self._screen and files:
            self._screen.end(files[0])


def _short(reason: Any) -> str:
    """The beginning of a reason: parameters of hundreds of cells may follow."""
    text = " ".join(str(reason).split())
    return text if len(text) <= _REASON else f"{text[:_REASON]} ..."
