"""How long jobs take together: wall time, from the seconds of each, what waits for what, and the cores."""

import heapq
from collections.abc import Sequence

from gengap.cost.estimate import Planned

RUN_SECONDS = 8.0  # Snakemake's own start, and the import of libraries


def wall_seconds(planned: Sequence[Planned], cores: int) -> float:
    """Seconds until all jobs are done; those whose time is not known count as nothing, so that it is at least this.

    Every job starts as soon as the jobs that make its inputs have ended and its cores are free, the first in the list
    first: about as Snakemake's greedy scheduler does.

    Args:
        planned: The jobs, each after those that it waits for.
        cores: How many there are.
    """
    made_by = {path: number for number, one in enumerate(planned) for path in one.job.outputs.values()}
    waits = [{made_by[path] for path in one.job.files() if path in made_by} for one in planned]
    ready = [number for number, before in enumerate(waits) if not before]
    running: list[tuple[float, int]] = []
    now, free = 0.0, cores
    while ready or running:
        for number in sorted(ready):
            threads = min(planned[number].threads, cores)
            if threads <= free:
                ready.remove(number)
                free -= threads
                heapq.heappush(running, (now + (planned[number].seconds or 0.0), number))
        now, ended = heapq.heappop(running)
        free += min(planned[ended].threads, cores)
        for number, before in enumerate(waits):
            if ended in before:
                before.remove(ended)
                if not before:
                    ready.append(number)
    return now + RUN_SECONDS if planned else 0.0
