"""Smallest singular value of random matrices (Oyedotun et al., appendix A.1).

LAPACK's SVD finds all singular values, of which one is wanted. Here the matrix is factored once, ``A = QR`` (or
``PA = LU`` if it is square), and Lanczos finds the largest eigenvalue of ``(A'A)^-1``, which is ``1 / sigma_min^2``, by
a few dozen pairs of triangular solves. Neither factorisation squares the condition number, as the Gram matrix would:
the relative error is about ``eps sigma_max / sigma_min``, below 1e-9 at a condition number of a million.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from gengap import seeding
from gengap.simulation import Point

_DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]] = {
    "normal": lambda stream, shape: stream.standard_normal(shape),
    "uniform": lambda stream, shape: stream.random(shape),
    "lognormal": lambda stream, shape: stream.lognormal(size=shape),
}
_DIRECT = 64  # columns up to which the triangle's whole SVD is as fast
# Of an eigenvector; the eigenvalue's relative error is its square over the gap. The gaps of random matrices, some
# percent of the eigenvalue, leave 1e-16.
_TOLERANCE = 1e-9


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """The smallest singular value of a ``rows x columns`` matrix with independent entries, for every seed.

    Args:
        point: Distribution and size.
        seeds: Numbers of the draws; a matrix depends on its own seed, its distribution and its size.
        device: Where matrices are factored; entries are drawn on the CPU.

    Returns:
        ``smallest_singular_value``: float64 ``[len(seeds)]``.
    """
    values = [smallest_singular_value(torch.from_numpy(matrix(point, seed)).to(device)) for seed in seeds]
    return {"smallest_singular_value": torch.tensor(values, dtype=torch.float64)}


def numbers_per_draw(point: Point) -> int:
    """Matrix and factor."""
    return 2 * point.rows * point.columns


def matrix(point: Point, seed: int) -> NDArray[np.float64]:
    """The random matrix of one draw: float64 ``[rows, columns]``."""
    path = (point.rows, point.columns, list(_DISTRIBUTIONS).index(point.distribution))
    return _DISTRIBUTIONS[point.distribution](
        seeding.stream(seed, seeding.SIMULATION, *path), (point.rows, point.columns)
    )


def smallest_singular_value(matrix: Tensor) -> float:
    """The smallest of the ``min(m, n)`` singular values of a float64 matrix ``[m, n]``; 0 if it is exactly singular."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    n = tall.shape[1]
    if n <= _DIRECT:
        return float(torch.linalg.svdvals(_triangle(tall))[-1])
    inverse_gram = _by_lu(tall) if tall.shape[0] == n else _by_qr(tall)

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = (
            inverse_gram(torch.from_numpy(vector.copy()).to(tall)[:, None])[:, 0].cpu().numpy()
        )
        return result

    operator = LinearOperator((n, n), matvec=lambda v: product(v.ravel()), dtype=np.float64)
    start = seeding.stream(0, seeding.SIMULATION).standard_normal(n)  # fixed: the same matrix gives the same bits
    try:
        (largest,) = eigsh(operator, k=1, which="LM", v0=start, tol=_TOLERANCE, return_eigenvectors=False)
    except _SINGULAR:
        return 0.0
    return float(largest**-0.5)


# A solve with a singular factor gives infinities, at which ARPACK stops.
_SINGULAR = (np.linalg.LinAlgError, ValueError)


def _triangle(tall: Tensor) -> Tensor:
    """R of the QR decomposition, without Q."""
    return torch.geqrf(tall)[0][: tall.shape[1]].triu()


def _by_qr(tall: Tensor) -> Callable[[Tensor], Tensor]:
    triangle = _triangle(tall)

    def inverse_gram(vector: Tensor) -> Tensor:
        halfway = torch.linalg.solve_triangular(triangle.mT, vector, upper=False)
        solved: Tensor = torch.linalg.solve_triangular(triangle, halfway, upper=True)
        return solved

    return inverse_gram


def _by_lu(square: Tensor) -> Callable[[Tensor], Tensor]:
    factors, pivots = torch.linalg.lu_factor(square)  # half the work of a QR decomposition

    def inverse_gram(vector: Tensor) -> Tensor:
        halfway = torch.linalg.lu_solve(factors, pivots, vector, adjoint=True)
        solved: Tensor = torch.linalg.lu_solve(factors, pivots, halfway)
        return solved

    return inverse_gram
