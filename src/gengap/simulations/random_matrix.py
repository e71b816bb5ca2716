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
    """The smallest of the ``min(m, n)`` singular values of a float64 matrix ``[m, n]``; 0 if singular to rounding."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    n = tall.shape[1]
    square = tall.shape[0] == n and n > _DIRECT
    pivots: Tensor | None = None
    if square:  # half the work of a QR decomposition
        factor, pivots, _ = torch.linalg.lu_factor_ex(tall)
    else:
        factor = torch.geqrf(tall)[0][:n].triu()
    if n <= _DIRECT:
        return float(torch.linalg.svdvals(factor)[-1])
    diagonal = factor.diagonal().abs()
    if bool(diagonal.min() <= torch.finfo(factor.dtype).eps * diagonal.max()):
        return 0.0

    def inverse_gram(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        column = torch.from_numpy(vector.reshape(-1, 1).copy()).to(factor.device)
        solved: NDArray[np.float64] = (
            _solve(factor, pivots, _solve(factor, pivots, column, transposed=True)).cpu().numpy()
        )
        return solved

    start = seeding.stream(0, seeding.SIMULATION).standard_normal(n)  # fixed: the same matrix gives the same bits
    operator = LinearOperator((n, n), matvec=inverse_gram, dtype=np.float64)
    (largest,) = eigsh(operator, k=1, which="LM", v0=start, tol=_TOLERANCE, return_eigenvectors=False)
    return float(largest**-0.5)


def _solve(factor: Tensor, pivots: Tensor | None, column: Tensor, *, transposed: bool = False) -> Tensor:
    """``A^-1 b``, or ``A'^-1 b``, of A's LU factors, or of the triangle R where there are no pivots."""
    solved: Tensor
    if pivots is not None:
        solved = torch.linalg.lu_solve(factor, pivots, column, adjoint=transposed)
    else:
        triangle = factor.mT if transposed else factor
        solved = torch.linalg.solve_triangular(triangle, column, upper=not transposed)
    return solved
