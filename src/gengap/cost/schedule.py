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
    after: list[list[int]] = [[] for _ in planned]
    for number, before in enumerate(waits):
        for one in before:
            after[one].append(number)
    ready = [number for number, before in enumerate(waits) if not before]  # a heap, as it is sorted
    running: list[tuple[float, int]] = []
    now, free = 0.0, cores
    while ready or running:
        too_wide = []
        while ready and free:
            number = heapq.heappop(ready)
            threads = min(planned[number].threads, cores)
            if threads <= free:
                free -= threads
                heapq.heappush(running, (now + (planned[number].seconds or 0.0), number))
            else:
                too_wide.append(number)
        for number in too_wide:
            heapq.heappush(ready, number)
        now, ended = heapq.heappop(running)
        free += min(planned[ended].threads, cores)
        for number in after[ended]:
            waits[number].remove(ended)
            if not waits[number]:
                heapq.heappush(ready, number)
    return now + RUN_SECONDS if planned else 0.0
