"""How long the jobs of this machine took, and how long they were predicted to take; nothing else reads it.

Lines of JSON in `.gengap/`, which no version control sees: seconds of one machine say nothing of another.
"""

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gengap import layout
from gengap.logs import log

TRAIN, SIMULATE = "train", "simulate"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Timing:
    """One job.

    Attributes:
        study: Its study.
        part: Its pack or point.
        job: ``train``, ``simulate``, or the name of a probe.
        kind: Digest of all that its speed depends on; jobs of one kind are as fast, per unit of work.
        work: How much it did: sample passes through networks, or draws.
        seconds: How long that took, or is predicted to take.
        written: When, UTC.
    """

    study: str
    part: str
    job: str
    kind: str
    work: float
    seconds: float
    written: str = field(default_factory=_now)


def note(timing: Timing) -> None:
    """Keep how long a job took; one that found nothing to do says nothing."""
    if timing.work:
        append(layout.TIMINGS, [timing])


def append(path: Path, timings: list[Timing]) -> None:
    """Add lines to a file; several processes may do so at once. Without them predictions are worse, and no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(timing)) + "\n" for timing in timings))
    except OSError as error:
        log.warning("%s: cannot be written (%s): this job's time is not kept for predictions", path, error.strerror)


def read(path: Path) -> list[Timing]:
    """All lines that can be read, the oldest first; a damaged one costs a prediction, no result."""
    try:
        return list(_lines(path))
    except OSError as error:
        log.warning("%s: cannot be read (%s): predictions do without it", path, error.strerror)
        return []


def _lines(path: Path) -> Iterator[Timing]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield Timing(**json.loads(line))
        except (ValueError, TypeError):
            continue


def rates(timings: list[Timing]) -> Mapping[str, float]:
    """Seconds per unit of work of every kind: those of the last job that took a second or longer, else of the last."""
    found: dict[str, Timing] = {}
    for timing in timings:
        if timing.work > 0 and (timing.kind not in found or timing.seconds >= 1 or found[timing.kind].seconds < 1):
            found[timing.kind] = timing
    return {kind: timing.seconds / timing.work for kind, timing in found.items()}


def error(predictions: list[Timing], timings: list[Timing], study: str) -> tuple[float, float, str] | None:
    """How far the last prediction for a study was off.

    Returns:
        Seconds predicted and taken for the jobs that have run since, scaled to the work that they found to do, and when
        it was predicted; None if there is nothing to compare.
    """
    own = [timing for timing in predictions if timing.study == study]
    # A prediction is followed by its jobs: the last one that was.
    for when in sorted({timing.written for timing in own}, reverse=True):
        made = {(timing.part, timing.job): timing for timing in own if timing.written == when}
        later = [
            timing
            for timing in timings
            if timing.study == study and timing.written >= when and (timing.part, timing.job) in made
        ]
        if later:
            predicted = sum(
                made[timing.part, timing.job].seconds * timing.work / max(made[timing.part, timing.job].work, 1)
                for timing in later
            )
            return predicted, sum(timing.seconds for timing in later), when
    return None
