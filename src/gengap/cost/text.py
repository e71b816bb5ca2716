"""The plan as lines of text. Wall time is how long one waits; job time is summed over jobs; they are never mixed."""

from collections.abc import Sequence

from gengap.cost.estimate import Planned
from gengap.counting import count
from gengap.files.timings import SIMULATE, TRAIN, Compared

_SHOWN, _KINDS = 12, 4  # packs, and kinds of job that have not run, listed


def describe(planned: Sequence[Planned], wall: float, cores: int) -> list[str]:
    """A table of training, a line per probe, one for all other jobs, and the wall time."""
    training = [one for one in planned if one.name == TRAIN]
    width = max([len("pack"), *(len(one.part) for one in training[:_SHOWN])])
    lines = [f"  {'pack':{width}}  {'to train':>16}  {'memory':>8}  {'time':>10}"] if training else []
    for one in training[:_SHOWN]:
        memory = f"{one.memory / 1e9:5.1f} GB" if one.to_do else ""
        lines.append(f"  {one.part:{width}}  {_of(one):>16}  {memory:>8}  {spell(one.seconds or 0.0):>10}")
    if len(training) > _SHOWN:
        rest = training[_SHOWN:]
        seconds = spell(sum(one.seconds or 0.0 for one in rest))
        cells = sum(one.to_do for one in rest)
        lines.append(f"  and {count(len(rest), 'more pack')}: {count(cells, 'cell')} to train, {seconds} of job time")
    groups: dict[str, list[Planned]] = {}
    for one in planned:
        if one.name != TRAIN:
            groups.setdefault(one.name if one.of else "data, figures, tables", []).append(one)
    for name, group in groups.items():
        lines.append(f"  {name}: {_jobs(group)}{_work(name, group)}, {_seconds(group)}")
    unknown = [one.name for one in sorted(planned, key=lambda one: (not one.of, one.name)) if one.seconds is None]
    scaled = sorted({one.name for one in planned if one.from_other_sizes})
    if planned:
        lines.append(f"  {_wall(planned, wall, cores)}")
    if scaled:
        lines.append(f"  from networks of other sizes, so less certain: {', '.join(scaled)}")
    if unknown:
        kinds = list(dict.fromkeys(unknown))  # what has work to count, such as probes, takes longest and stands first
        others = f" and {count(len(kinds) - _KINDS, 'other kind')} of job" if len(kinds) > _KINDS else ""
        told = ", ".join(kinds[:_KINDS]) + others
        lines += ["  not known, since none of their kind has run on this machine:", f"    {told}"]
    return lines


def summed(planned: Sequence[Planned], wall: float, cores: int) -> str:
    """A line for several studies together, in one run."""
    return f"together: {_jobs(planned)} to run" + (f", {_wall(planned, wall, cores)}" if planned else "")


def compared(found: Compared) -> str:
    """How far the last prediction was off: wall time if all of it has run since, else job time."""
    what = "wall time" if found.whole else f"job time of {found.jobs} of {found.of} jobs"
    off = found.taken / max(found.predicted, 1e-9) - 1
    moment = f"{found.when[:16].replace('T', ' ')} UTC"
    return f"  predicted {moment}: {spell(found.predicted)} {what}; it took {spell(found.taken)} ({off:+.0%})"


def spell(seconds: float) -> str:
    """A duration as one reads it."""
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.1f} min" if minutes >= 1 else f"{seconds:.0f} s"


def _wall(planned: Sequence[Planned], wall: float, cores: int) -> str:
    least = "at least " if any(one.seconds is None for one in planned) else ""
    return f"wall time: {least}{spell(wall)} on {count(cores, 'core')}"


def _of(one: Planned) -> str:
    return f"{one.to_do:,} of {one.of:,}"


def _jobs(group: Sequence[Planned]) -> str:
    return f"{count(len(group), 'job')}"


def _work(name: str, group: Sequence[Planned]) -> str:
    to_do, of = sum(one.to_do for one in group), sum(one.of for one in group)
    if not of:
        return ""
    if name == SIMULATE:
        return f", {count(to_do, 'draw')}, at most {max(one.memory for one in group) / 1e9:.1f} GB each"
    return f", {to_do:,} of {of:,} checkpoints to measure"


def _seconds(group: Sequence[Planned]) -> str:
    known = [one.seconds for one in group if one.seconds is not None]
    if not known:
        return "time not known"
    missing = f", {len(group) - len(known)} of them not known" if len(known) < len(group) else ""
    return f"{spell(sum(known))} of job time{missing}"
