"""Programs side by side, each in a process of its own with one thread; the processes end with the case."""

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any


@contextlib.contextmanager
def side_by_side(
    work: Callable[..., object],
    *arguments: Any,
    processes: int,
    samples: int,
    prepare: Callable[..., object],
    given: tuple[Any, ...] = (),
) -> Iterator[Callable[[], float]]:
    """Give a function that has every process work once and returns samples per second of all together.

    Processes that are no longer measured would keep their memory: those of a dozen cases fill a machine's.

    Args:
        work: Called in every process, again for each measurement.
        arguments: Of `work`.
        processes: How many.
        samples: That one process trains on.
        prepare: Called first in every process; its time is not measured.
        given: Arguments of `prepare`.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=prepare, initargs=given) as pool:

        def run() -> float:
            begin = time.perf_counter()
            for done in [pool.submit(work, *arguments) for _ in range(processes)]:
                done.result()
            return processes * samples / (time.perf_counter() - begin)

        yield run
