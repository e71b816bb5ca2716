"""Maxima of functions over boxes by L-BFGS-B: many independent searches, with function values computed together."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b

Floats = NDArray[np.float64]
# From places in the stack ``[k]`` and one point for each ``[k, p]`` to values ``[k]`` and gradients ``[k, p]``.
Functions = Callable[[list[int], Floats], tuple[Floats, Floats]]
_Asked = tuple[int, Floats | None]


@dataclass(frozen=True)
class Maxima:
    """What the climbs reached.

    Attributes:
        points: ``[K, p]``.
        start: Value at 0, ``[K]``.
        values: Value at the point, ``[K]``; never below that at 0.
        projected_gradients: Euclidean norm of the gradient at the point without the components that push against a
            bound the point is on, ``[K]``: 0 at a maximum.
    """

    points: Floats
    start: Floats
    values: Floats
    projected_gradients: Floats


def maximise(functions: Functions, bounds: Floats, iterations: int) -> Maxima:
    """Climb from 0 in each of K boxes ``|z_i| <= bounds_i`` with SciPy's L-BFGS-B.

    SciPy calls its function, it cannot be asked for the next point; so each climb has a thread, which waits at its
    every point until all climbs that still run have one. `functions` is then called once, in the caller's thread, for
    all of them. Each climb does what it would do alone.

    The stopping rules on small values and gradients are off, since the loss of a fitted network is small everywhere:
    a climb ends after its iterations, or where no step leads higher.

    Args:
        functions: Values and gradients of the functions at the given places.
        bounds: Half widths of the boxes, at least 0, ``[K, p]``.
        iterations: Most iterations of L-BFGS-B; each takes one function value, or a few more.

    Source: Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound constrained optimization.
    """
    count = len(bounds)
    asked: SimpleQueue[_Asked] = SimpleQueue()
    answers: list[SimpleQueue[tuple[float, Floats] | None]] = [SimpleQueue() for _ in range(count)]
    start = np.full(count, np.nan)

    def climb(place: int) -> tuple[Floats, float, Floats]:
        def negative(point: Floats) -> tuple[float, Floats]:
            asked.put((place, point.copy()))
            answer = answers[place].get()
            if answer is None:
                raise InterruptedError("another climb failed")
            return -answer[0], -answer[1]

        try:
            box: Any = np.stack([-bounds[place], bounds[place]], axis=1)  # SciPy's types ask for a list of pairs
            point, value, report = fmin_l_bfgs_b(
                negative,
                np.zeros(bounds.shape[1]),
                bounds=box,
                maxiter=iterations,
                factr=0.0,
                pgtol=0.0,
            )
            return point, -float(value), -report["grad"]
        finally:
            asked.put((place, None))

    with ThreadPoolExecutor(count) as pool:
        climbs = [pool.submit(climb, place) for place in range(count)]
        running = count
        try:
            while running:
                waiting = {place: point for place, point in (asked.get() for _ in range(running)) if point is not None}
                running = len(waiting)
                if not waiting:
                    break
                places = sorted(waiting)
                values, gradients = functions(places, np.stack([waiting[place] for place in places]))
                for place, value, gradient in zip(places, values, gradients, strict=True):
                    if np.isnan(start[place]):
                        start[place] = value
                    answers[place].put((float(value), gradient))
        finally:
            for answer in answers:  # lets the climbs end if a function raised; nobody waits otherwise
                answer.put(None)
    ends = [future.result() for future in climbs]
    points = np.stack([point for point, _, _ in ends])
    slopes = np.stack([slope for _, _, slope in ends])
    blocked = np.where(slopes > 0, points >= bounds, points <= -bounds)
    return Maxima(
        points=points,
        start=start,
        values=np.array([value for _, value, _ in ends]),
        projected_gradients=np.linalg.norm(np.where(blocked, 0.0, slopes), axis=1),
    )
