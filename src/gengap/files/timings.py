"""How long the jobs of this machine took, and how long they were predicted to take; nothing else reads it.

Lines of JSON in `.gengap/`, which no version control sees: seconds of one machine say nothing of another.
"""

import contextlib
import datetime
import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from gengap import layout
from gengap.logs import log
from gengap.progress import Pace, told

TRAIN, SIMULATE, WALL = "train", "simulate", "wall"
# Of this process: from its start to here, which scripts import after what takes long, such as torch.
_STARTED = time.time() - psutil.Process().create_time()
_RECENT = 3  # jobs of a kind that count: a machine changes
_THREADS = 0.7  # power of the number of threads with which a job becomes faster
_LONG = 1.0  # seconds of work from which a pace is more than noise
_DOUBT = 1.5  # times what a step is thought to take that it may have taken on an undisturbed machine
_STEEPEST = 1.5  # power of the size with which a piece of work takes longer, at most


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Timing:
    """One job.

    Attributes:
        study: Its study; empty of data, which studies share.
        part: Its pack, point or data; empty of evidence.
        job: ``train``, ``simulate``, the key of a probe, or the rule; of a prediction also ``wall``, the whole.
        kind: Digest of what its speed depends on, beside the work, the threads and the networks.
        work: How much it did: sample passes through networks, checkpoints or draws.
        seconds: From the start of its process, without waiting for a GPU, or predicted.
        written: When it ended, UTC.
        fixed: Seconds of it that were not in proportion to the work: starting, reading, compiling.
        threads: Cores that it had.
        networks: Networks that were trained together.
    """

    study: str
    part: str
    job: str
    kind: str
    work: float
    seconds: float
    written: str = field(default_factory=_now)
    fixed: float = 0.0
    threads: int = 1
    networks: int = 1


def kind_of(*parts: object) -> str:
    """A short name of what a speed depends on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@contextmanager
def whole(study: str, part: str, rule: str) -> Iterator[None]:
    """`timed`, for a job that is done as a whole or not at all; of data, the kind is what they are.

    While it lasts, it says how long it will take, if it takes long.
    """
    kind = kind_of(rule, "" if study else part)
    before = [one for one in read(layout.TIMINGS) if one.kind == kind]
    with told(predict(of_study(before, study), 1.0)), timed(study, part, rule, kind):
        yield


def of_study(alike: Sequence[Timing], study: str) -> Sequence[Timing]:
    """Those of the same study, if there are any: evidence of other studies is of other sizes."""
    return [one for one in alike if one.study == study] or alike


@contextmanager
def timed(study: str, part: str, job: str, kind: str, *, threads: int = 1, networks: int = 1) -> Iterator[list[Pace]]:
    """Keep how long a job took, with the start of its process, if it does not fail.

    Args:
        study: See `Timing`.
        part: See `Timing`.
        job: See `Timing`.
        kind: See `Timing`.
        threads: See `Timing`.
        networks: See `Timing`.

    Yields:
        Where the job puts the pace of its work; without any, it is one piece of work, all of it fixed.
    """
    paces: list[Pace] = []
    begin = time.monotonic()
    yield paces
    done = sum(paces, Pace()) if paces else Pace(1.0, 0.0)
    if done.work:  # one that found nothing to do says nothing of its speed
        seconds = _STARTED + time.monotonic() - begin
        fixed = max(seconds - done.seconds, 0.0)
        row = Timing(study, part, job, kind, done.work, seconds, fixed=fixed, threads=threads, networks=networks)
        append(layout.TIMINGS, [row])


def append(path: Path, timings: Sequence[Timing]) -> None:
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
        with contextlib.suppress(ValueError, TypeError):
            if _can_be(timing := Timing(**json.loads(line))):
                yield timing


def _can_be(timing: Timing) -> bool:
    """Whether a line that was read holds a time that a job can take."""
    words = (timing.study, timing.part, timing.job, timing.kind, timing.written)
    numbers = (timing.work, timing.seconds, timing.fixed)
    counts = (timing.threads, timing.networks)
    return (
        all(isinstance(word, str) for word in words)
        and all(isinstance(number, (int, float)) and 0 <= number < math.inf for number in numbers)
        and all(isinstance(number, int) and number >= 1 for number in counts)
    )


def predict(
    alike: Sequence[Timing],
    work: float,
    *,
    threads: int = 1,
    networks: int = 1,
    step: Callable[[int], float] | None = None,
) -> float | None:
    """Seconds that a job will take: what is fixed, and the rest in proportion to its work.

    Of the jobs of its kind, those count that had about as many networks and threads, and of these the last ones. Where
    these are few, the machine may have been busy with other work, so they count as no slower than the other jobs allow.

    Args:
        alike: Jobs of its kind, the oldest first; of training, all compiled or none.
        work: Its work.
        threads: Its threads.
        networks: Its networks.
        step: What a step of so many networks takes, in any unit; unless given, in proportion to their number.

    Returns:
        None if no job of its kind is known.
    """
    able = [one for one in alike if one.work > 0]
    if not able:
        return None
    chosen = _nearest(able, threads, networks)
    fixed, pace = _undisturbed(able, chosen, step)
    ran = chosen[0]
    together = _of_each(step, networks) / _of_each(step, ran.networks) if step else 1.0
    return float(fixed + pace * together * (ran.threads / threads) ** _THREADS * work)


def _of_each(step: Callable[[int], float], networks: int) -> float:
    return step(networks) / networks


def _nearest(able: Sequence[Timing], threads: int, networks: int) -> list[Timing]:
    """The last jobs of those whose number of networks, and then of threads, is nearest."""

    def distance(one: Timing) -> tuple[float, float]:
        return abs(math.log2(max(networks, 1) / one.networks)), abs(math.log2(threads / one.threads))

    nearest = min(map(distance, able))
    return [one for one in able if distance(one) == nearest][-_RECENT:]


def _undisturbed(
    able: Sequence[Timing], chosen: Sequence[Timing], step: Callable[[int], float] | None
) -> tuple[float, float]:
    """What is fixed of the chosen jobs, and their pace; where they are few, no more than other jobs of the kind allow.

    A step of K networks takes no longer than one of more networks, and no longer than K steps of one network. So
    seconds per sample and network are at most those of other jobs, times how many more networks these had; the same of
    threads. Where it is known what a step takes, they are at most `_DOUBT` times what follows from that.
    """
    own = chosen[0]
    fixed, pace = statistics.median(one.fixed for one in chosen), _pace(chosen, own.threads)
    if len(chosen) >= _RECENT:
        return fixed, pace
    groups: dict[tuple[int, int], list[Timing]] = {}
    for one in able:
        if one not in chosen:
            groups.setdefault((one.networks, one.threads), []).append(one)
    for (networks, threads), group in groups.items():
        recent = group[-_RECENT:]
        fixed = min(fixed, statistics.median(one.fixed for one in recent))
        if any(one.seconds - one.fixed >= _LONG for one in recent):
            allowed = max(1.0, networks / own.networks)
            if step:
                allowed = min(allowed, _DOUBT * _of_each(step, own.networks) / _of_each(step, networks))
            allowed *= max(1.0, threads / own.threads)
            pace = min(pace, _pace(recent, threads) * allowed)
    return fixed, pace


def predict_from_other_sizes(
    alike: Mapping[float, Sequence[Timing]], work: float, size: float, *, threads: int = 1, networks: int = 1
) -> float | None:
    """Seconds that a job will take if none of its size has run, from the two sizes next to its own.

    Between sizes and beyond them, time per piece of work is a power of the size; with one size it is in proportion.

    Args:
        alike: Jobs by their size, above 0, each the oldest first.
        work: Its work.
        size: Its size.
        threads: Its threads.
        networks: Its networks.

    Returns:
        None if no such job is known.
    """
    able = {other: [one for one in ran if one.work > 0] for other, ran in alike.items()}
    by_size = {other: _nearest(ran, threads, networks) for other, ran in able.items() if ran}
    if not by_size:
        return None
    near, *next_to = sorted(by_size, key=lambda other: abs(math.log(size / other)))
    pace, exponent = _pace(by_size[near], threads), 1.0
    if next_to and pace > 0:
        other = _pace(by_size[next_to[0]], threads)
        exponent = math.log(max(other, 1e-12) / pace) / math.log(next_to[0] / near)
    factor = math.pow(size / near, min(max(exponent, 0.0), _STEEPEST))
    return float(statistics.median(one.fixed for one in by_size[near]) + pace * work * factor)


def _pace(chosen: Sequence[Timing], threads: int) -> float:
    """Seconds of one piece of work; a short job's pace is mostly noise."""
    long = [one for one in chosen if one.seconds - one.fixed >= _LONG] or chosen
    paces = [(one.seconds - one.fixed) / one.work * (one.threads / threads) ** _THREADS for one in long]
    return float(statistics.median(paces))


@dataclass(frozen=True)
class Compared:
    """A prediction beside what has run since.

    Attributes:
        predicted: Seconds: wall time if the whole has run, else the sum over the jobs that have.
        taken: What these took.
        when: When it was predicted, UTC.
        jobs: How many jobs have run since.
        of: How many were predicted.
    """

    predicted: float
    taken: float
    when: str
    jobs: int
    of: int

    @property
    def whole(self) -> bool:
        """Whether all jobs have run, so that wall time is compared with wall time."""
        return self.jobs == self.of


def compare(predictions: Sequence[Timing], timings: Sequence[Timing], study: str) -> Compared | None:
    """How far the last prediction for a study was off; None if nothing has run since any.

    Wall time is from the start of the first of its jobs to the end of the last.
    """
    own = [one for one in predictions if one.study == study]
    # A prediction is followed by its jobs: the last one that was.
    for when in sorted({one.written for one in own}, reverse=True):
        made = {(one.part, one.job): one for one in own if one.written == when and one.job != WALL}
        wall = next((one for one in own if one.written == when and one.job == WALL), None)
        ran = {
            (one.part, one.job): one
            for one in timings
            if one.study in (study, "") and one.written >= when and (one.part, one.job) in made
        }
        if not ran or wall is None:
            continue
        if len(ran) == round(wall.work):
            ends = {key: datetime.datetime.fromisoformat(one.written).timestamp() for key, one in ran.items()}
            taken = max(ends.values()) - min(end - ran[key].seconds for key, end in ends.items())
            return Compared(wall.seconds, taken, when, len(ran), len(ran))
        predicted = sum(made[key].seconds for key in ran)
        return Compared(predicted, sum(one.seconds for one in ran.values()), when, len(ran), round(wall.work))
    return None
