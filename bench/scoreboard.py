"""How often the scoreboard is fooled: ``python -m bench.scoreboard`` (``--toy``: that it runs; writes nothing).

Simulated populations of known truth are judged by the rule of `gengap.scoreboard.verdicts`. Its constants were chosen
on other populations (``--calibrate`` draws those). Every 50 repetitions are kept, so a run goes on where it stopped.
"""

import argparse
import datetime
import json
import platform
import time
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
import scipy
import threadpoolctl
from scipy.stats import binomtest

from bench.rows import RESULTS, hardware
from gengap.files import storage
from gengap.scoreboard import simulated, verdicts
from gengap.scoreboard.board import decide

PATH = RESULTS / "scoreboard.json"
CALIBRATION, EVALUATION = 0, 3  # streams of random numbers; the tests have another
_KEPT = 50


@dataclass(frozen=True)
class Row:
    """One kind of population.

    Attributes:
        population: Its name in `gengap.scoreboard.simulated`.
        repetitions: Tables judged, of five measures each.
        verdicts: How often each verdict was given.
        wrong_tables: Tables with at least one measure whose verdict must not be given there; those without a signal.
        rate: Share of such tables; with a signal, share of measures that are said to explain.
        rate_low: Lower end of its 95 % interval (Clopper and Pearson).
        rate_high: Upper end.
        rule: The constants that decided; a run with others starts anew.
        seconds: Of the processor, per table.
        hardware: Processor, and how many cores it has; one was used.
        versions: Of Python, NumPy and SciPy.
        date: Day of the run.
    """

    population: str
    repetitions: int
    verdicts: dict[str, int]
    wrong_tables: int
    rate: float
    rate_low: float
    rate_high: float
    rule: str
    seconds: float
    hardware: str
    versions: str
    date: str


def rule() -> str:
    """The constants of rule and populations."""
    return f"level {verdicts.ALPHA}, small {verdicts.SMALL}, effect {simulated.EFFECT}"


def judged(name: str, first: int, count: int, stream: int = EVALUATION) -> tuple[Counter[str], int]:
    """Judge tables of one population.

    Returns:
        How often each verdict was given, and how many tables have a verdict that must not be given.
    """
    words: Counter[str] = Counter()
    wrong = 0
    for repetition in range(first, first + count):
        population = simulated.POPULATIONS[name](np.random.default_rng([stream, repetition]))
        found = [verdict.word for verdict in decide(population).values()]
        words.update(found)
        wrong += any(word not in simulated.ALLOWED[name] for word in found)
    return words, wrong


def row(name: str, repetitions: int, words: Counter[str], wrong: int, seconds: float) -> Row:
    """What the counts say."""
    powered = name in simulated.POWERED
    hits, of = (words[verdicts.EXPLAINS], sum(words.values())) if powered else (wrong, repetitions)
    interval = binomtest(hits, of).proportion_ci(0.95)
    return Row(
        population=name,
        repetitions=repetitions,
        verdicts=dict(words.most_common()),
        wrong_tables=wrong,
        rate=round(hits / of, 4),
        rate_low=round(float(interval.low), 4),
        rate_high=round(float(interval.high), 4),
        rule=rule(),
        seconds=round(seconds, 4),
        hardware=hardware(),
        versions=f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}",
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def read() -> dict[str, Row]:
    """The rows that an earlier run with the same rule left."""
    kept = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else []
    return {one["population"]: Row(**one) for one in kept if one["rule"] == rule()}


def write(rows: dict[str, Row]) -> None:
    """Write ``bench/results/scoreboard.json``."""
    storage.write_text(PATH, json.dumps([asdict(one) for one in rows.values()], indent=2) + "\n")


def show(rows: dict[str, Row]) -> str:
    """A table for the terminal."""
    lines = [f"{'rate':>7} {'low':>7} {'high':>7} {'tables':>7}  population: verdicts"]
    lines += [
        f"{one.rate:7.2%} {one.rate_low:7.2%} {one.rate_high:7.2%} {one.repetitions:7,}  {one.population}: "
        + ", ".join(f"{count} {word}" for word, count in one.verdicts.items())
        for one in rows.values()
    ]
    return "\n".join(lines)


def main(repetitions: int, *, stream: int = EVALUATION, keep: bool = True) -> dict[str, Row]:
    """Judge every population until it has so many repetitions; `keep` reads and writes the file of results."""
    kept = read() if keep else {}
    rows: dict[str, Row] = {}
    for name in simulated.POPULATIONS:
        done = kept.get(name)
        count, wrong, seconds = (done.repetitions, done.wrong_tables, done.seconds) if done else (0, 0, 0.0)
        words = Counter(done.verdicts) if done else Counter()
        if done:
            rows[name] = done
        while count < repetitions:
            started, more = time.process_time(), min(_KEPT, repetitions - count)
            found, wrongly = judged(name, count, more, stream)
            words, wrong = words + found, wrong + wrongly
            seconds = (seconds * count + time.process_time() - started) / (count + more)
            count += more
            rows[name] = row(name, count, words, wrong, seconds)
            if keep:
                write(kept | rows)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--toy", action="store_true", help="a few repetitions; writes nothing")
    parser.add_argument(
        "--calibrate", action="store_true", help="the populations on which the rule was chosen; writes nothing"
    )
    options = parser.parse_args()
    with threadpoolctl.threadpool_limits(1):
        measured = main(
            3 if options.toy else options.repetitions,
            stream=CALIBRATION if options.calibrate else EVALUATION,
            keep=not (options.toy or options.calibrate),
        )
    print(show(measured))
