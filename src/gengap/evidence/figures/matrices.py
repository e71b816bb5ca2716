"""What the figures of random matrices share: their entries, and the law of their singular values."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Standard deviation of an entry; its mean adds one large singular value and hardly moves the others.
STD = {"normal": 1.0, "uniform": math.sqrt(1 / 12), "lognormal": math.sqrt((math.e - 1) * math.e)}
COLORS = dict(zip(STD, ("#0072B2", "#D55E00", "#009E73"), strict=True))
_STEPS = 20_000  # of the integral: errors below 1e-8


def law(x: ArrayLike, shape: float) -> NDArray[np.float64]:
    """Density of the singular values of a large matrix, divided by ``s sqrt(m)``.

    For m x n independent entries of standard deviation s, ``n <= m``: the law of Marchenko and Pastur (1967), theirs
    of the squares, ``sqrt((b - x^2) (x^2 - a)) / (pi c x)`` between the roots of ``a, b = (1 -+ sqrt(c))^2``.

    Args:
        x: Where.
        shape: ``c = n / m``, in (0, 1].
    """
    low, high = (1 - math.sqrt(shape)) ** 2, (1 + math.sqrt(shape)) ** 2
    # The density of a square matrix is finite at 0, where the formula is 0 / 0.
    at = np.maximum(np.asarray(x, dtype=np.float64), 1e-12)
    root = np.sqrt(np.clip(high - at**2, 0, None)) * np.sqrt(np.clip(at**2 - low, 0, None))
    density: NDArray[np.float64] = root / (math.pi * shape * at)
    return density


def share_below(x: ArrayLike, shape: float) -> NDArray[np.float64]:
    """Share of the singular values below x by that law; with ``x^2 = 1 + c + 2 sqrt(c) cos(t)`` it is smooth in t."""
    step = math.pi / _STEPS
    cosine = np.cos((np.arange(_STEPS) + 0.5) * step)[::-1]
    share = np.cumsum((1 - cosine**2) / (1 + shape + 2 * math.sqrt(shape) * cosine)) * 2 / math.pi * step
    edges = 1 + shape + 2 * math.sqrt(shape) * np.cos(np.arange(_STEPS, -1, -1) * step)
    places = np.asarray(x, dtype=np.float64)
    below: NDArray[np.float64] = np.interp(places, np.sqrt(np.maximum(edges, 0)), np.r_[0, share])
    return below
