"""What a person needs to read where Snakemake gives up: one sentence in place of its exceptions.

Snakemake tells the class of an exception, the line of a rule and the whole command of a script; all of it stands in its
log. A job that fails has said why, and has a line that names its log.
"""

import re
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gengap import layout
from gengap.errors import hint

_HEAD = re.compile(r"^(?:\w+\.)*\w*(?:Exception|Error|Interrupt)(?: in rule \w+)?(?: in file \".*\", line \d+)?[:.]?$")
_PLACE = re.compile(r"^\s*File \".*\", line \d+, in ")
_NO_RULE = re.compile(r"No rule to produce (.*?) \(if you use input functions")
_NO_NAME = "raise MissingRuleException(targetfile)"  # Snakemake 9.14 fails as it tries to name a missing target
_STATUS = re.compile(
    r"returned non-zero exit status (\d+)|died with <Signals\.\w+: (\d+)>|died with unknown signal (\d+)"
)
_BY_SIGNAL = 128  # a shell's exit status of a process that signal n ended is so much more than n
_LOCKED = "Directory cannot be locked"
_SOME_JOB = "At least one job did not complete successfully"


def told(text: str, names: Iterable[str], *, failed: bool) -> str:
    """What to say of an error of Snakemake's.

    Args:
        text: As Snakemake says it.
        names: Of studies, simulations and papers.
        failed: Whether a job was said to have failed.

    Returns:
        A message; empty where all was said.
    """
    if found := _STATUS.search(text):
        return _ended(found)
    if _SOME_JOB in text and failed:
        return ""
    if found := _NO_RULE.search(text):
        return _no_rule(found[1], names)
    if _NO_NAME in text:
        return _no_rule(_missing(sys.argv[1:]), names)
    if _LOCKED in text:
        return (
            f"error: {Path.cwd()}: another run makes the same files. Wait until it ends, or stop it. If there is none, "
            "as after a loss of power where files cannot be locked: snakemake --unlock"
        )
    lines = [line for line in text.strip().splitlines() if not _HEAD.match(line) and not _PLACE.match(line)]
    said = "\n".join(lines).strip().removeprefix("Error: ")
    return f"error: {said}" if said else text.strip()


def _ended(found: re.Match[str]) -> str:
    """Of the process of a job; one that ended by itself has said why."""
    number = int(found[2] or found[3] or 0) or int(found[1]) - _BY_SIGNAL
    if number == signal.SIGKILL:
        return "error: the process of a job was killed (SIGKILL), as the system does where memory runs out"
    if number <= 0 or number not in set(signal.Signals):
        return ""
    return f"error: the process of a job was ended by {signal.Signals(number).name}"


def _missing(arguments: Sequence[str]) -> str:
    """The target of a call that is not there."""
    files = [word for word in arguments if not word.startswith("-") and len(Path(word).parts) > 1]
    return next((file for file in files if not Path(file).exists()), "a target")


def _no_rule(wanted: str, names: Iterable[str]) -> str:
    """Of a target that nothing makes: a file, or a name that is none."""
    path, known = Path(wanted), sorted({*names} - {"all", "data"})
    if path.parts[:1] == (str(layout.RESULTS),) and len(path.parts) > 2 and path.parts[1] in known:
        what = "Its YAML file names its probes, figures and tables."
        return f"error: {wanted}: {path.parts[1]} makes no such file. {what}"
    if len(path.parts) > 1 or path.suffix:
        return f"error: {wanted}: nothing makes this file, and it is not there. `gengap check` lists the studies."
    listed = hint(wanted, known)
    return f"error: {wanted}: there is no study, simulation or paper of this name.{listed} `gengap check` lists them."
