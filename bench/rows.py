"""What every benchmark writes: rows with a ratio first, and what it was measured on."""

import datetime
import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One case against one peer.

    Attributes:
        case: What was run, e.g. ``cpu/width=4,batch_size=128,pack=64``.
        peer: The named peer.
        ratio: Ours divided by theirs, median over the repeats, pair by pair; above 1 is better.
        ratio_low: Smallest ratio of a pair.
        ratio_high: Largest ratio of a pair.
        ours: Median of ours, in `unit`.
        theirs: Median of theirs, in `unit`.
        unit: Unit of both; for times, the ratio is theirs divided by ours.
        repeats: Pairs measured, after one warm-up.
        hardware: Processor or GPU, and how much of it was used.
        versions: Of Python and PyTorch.
        date: Day of the run.
    """

    case: str
    peer: str
    ratio: float
    ratio_low: float
    ratio_high: float
    ours: float
    theirs: float
    unit: str
    repeats: int
    hardware: str
    versions: str
    date: str


def side_by_side(
    case: str, peer: str, ours: Callable[[], float], theirs: Callable[[], float], *, unit: str, repeats: int
) -> Row:
    """Measure in turn, ours and theirs, so that a drift of the machine's speed touches both.

    Args:
        case: Name of the case.
        peer: Name of the peer.
        ours: Runs once and returns a rate, more is better.
        theirs: The same for the peer.
        unit: Unit of the rates.
        repeats: Pairs to measure; one more comes first and is not counted.
    """
    ours(), theirs()
    return row(case, peer, [(ours(), theirs()) for _ in range(repeats)], unit=unit)


def row(case: str, peer: str, pairs: Sequence[tuple[float, float]], *, unit: str, less_is_better: bool = False) -> Row:
    """What pairs of measurements, ours and theirs, say.

    Args:
        case: Name of the case.
        peer: Name of the peer.
        pairs: Ours and theirs, measured one after the other.
        unit: Unit of both.
        less_is_better: As of times: the ratio is theirs divided by ours.
    """
    ratios = [theirs / ours if less_is_better else ours / theirs for ours, theirs in pairs]
    return Row(
        case=case,
        peer=peer,
        ratio=round(statistics.median(ratios), 3),
        ratio_low=round(min(ratios), 3),
        ratio_high=round(max(ratios), 3),
        ours=round(statistics.median(one for one, _ in pairs), 1),
        theirs=round(statistics.median(other for _, other in pairs), 1),
        unit=unit,
        repeats=len(pairs),
        hardware=hardware(),
        versions=f"Python {platform.python_version()}, torch {torch.__version__}",
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def hardware() -> str:
    """The GPU if there is one, else the processor and the number of cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores"


def show(rows: list[Row]) -> str:
    """A table for the terminal, ratio first."""
    lines = [f"{'ratio':>7} {'low':>7} {'high':>7}  {'ours':>12} {'theirs':>12} {'unit':12} case, against peer"]
    lines += [
        f"{r.ratio:7.2f} {r.ratio_low:7.2f} {r.ratio_high:7.2f}  "
        f"{_number(r.ours):>12} {_number(r.theirs):>12} {r.unit:12} {r.case}, against {r.peer}"
        for r in rows
    ]
    if rows:
        lines.append(f"{rows[0].hardware}; {rows[0].versions}; {rows[0].repeats} pairs each; {rows[0].date}")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def write(name: str, rows: list[Row]) -> None:
    """Write ``bench/results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def read(name: str) -> list[Row]:
    """The rows that `write` left; none if there is no such file."""
    path = RESULTS / f"{name}.json"
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def joined(stored: Sequence[Row], measured: Sequence[Row]) -> list[Row]:
    """Stored rows whose cases were not measured again, then those that were measured now."""
    cases = {row.case for row in measured}
    return [*(row for row in stored if row.case not in cases), *measured]
