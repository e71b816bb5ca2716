"""Singular values of random matrices (Oyedotun et al., appendix A.1).

LAPACK's SVD finds all singular values, which are kept of the first draws; of every draw the smallest is wanted. For it
the matrix is factored once, ``A = QR`` (or ``PA = LU`` if it is square), and Lanczos finds the largest eigenvalue of
``(A'A)^-1``, which is ``1 / sigma_min^2``, by a few dozen pairs of triangular solves. Neither factorisation squares the
condition number, as the Gram matrix would: the relative error is about ``eps sigma_max / sigma_min``, below 1e-9 at a
condition number of a million.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": ("Smallest and all singular values of matrices of independent entries (Oyedotun et al., appendix A.1)."),
    "options": {
        "distribution": {
            "choices": ("normal", "uniform", "lognormal"),
            "default": "normal",
            "meaning": "Of a matrix's entries: standard normal, uniform on [0, 1], exp of a standard normal.",
        },
        "rows": {"type": "int", "default": 1000, "ge": 1, "meaning": "Rows of a matrix."},
        "columns": {"type": "int", "default": 10, "ge": 1, "meaning": "Columns of a matrix."},
        "spectrum_values": {
            "type": "int",
            "default": 0,
            "ge": 0,
            "meaning": "Singular values to keep: whole spectra of the first draws, as many as hold this number.",
        },
    },
    "quantities": {
        "smallest_singular_value": {
            "label": "smallest singular value",
            "symbol": "\\sigma_{\\min}",
            "meaning": "Smallest singular value of a random matrix.",
        },
        "matrix_singular_values": {
            "label": "singular values of the matrix",
            "symbol": "\\sigma_i",
            "meaning": "All singular values of a random matrix in descending order.",
        },
    },
}
ONE_BY_ONE = True

_DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]] = {
    "normal": lambda stream, shape: stream.standard_normal(shape),
    "uniform": lambda stream, shape: stream.random(shape),
    "lognormal": lambda stream, shape: stream.lognormal(size=shape),
}
DIMS = {"matrix_singular_values": ("singular_value",)}
_DIRECT = 64  # columns up to which the triangle's whole SVD is as fast
# Of an eigenvector; the eigenvalue's relative error is its square over the gap. The gaps of random matrices, some
# percent of the eigenvalue, leave 1e-16.
_TOLERANCE = 1e-9


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """The smallest singular value of a ``rows x columns`` matrix with independent entries, for every seed.

    Args:
        point: Distribution, size, and of how many values whole spectra are kept.
        seeds: Numbers of the draws; a matrix depends on its own seed, its distribution and its size.
        device: Where matrices are factored; entries are drawn on the CPU.

    Returns:
        ``smallest_singular_value``: float64 ``[len(seeds)]``. ``matrix_singular_values``: float64
        ``[n, min(rows, columns)]`` in descending order, of those n seeds that are among the first of the point, as many
        as hold ``spectrum_values`` values. The smallest value is found alike for all seeds.
    """
    n = min(point.rows, point.columns)
    first = point.seeds[: math.ceil(point.spectrum_values / n)]
    smallest, spectra = [], [torch.empty(0, n, dtype=torch.float64)]
    for seed in seeds:
        drawn = torch.from_numpy(matrix(point, seed)).to(device)
        smallest.append(smallest_singular_value(drawn))
        if seed in first:
            spectra.append(singular_values(drawn).cpu()[None])
    return {
        "smallest_singular_value": torch.tensor(smallest, dtype=torch.float64),
        "matrix_singular_values": torch.cat(spectra),
    }


def numbers_per_draw(point: Point) -> int:
    """Matrix and factor."""
    count: int = 2 * point.rows * point.columns
    return count


def matrix(point: Point, seed: int) -> NDArray[np.float64]:
    """The random matrix of one draw: float64 ``[rows, columns]``."""
    path = (point.rows, point.columns, list(_DISTRIBUTIONS).index(point.distribution))
    return _DISTRIBUTIONS[point.distribution](
        seeding.stream(seed, seeding.SIMULATION, *path), (point.rows, point.columns)
    )


def singular_values(matrix: Tensor) -> Tensor:
    """All ``min(m, n)`` singular values of a matrix ``[m, n]``, descending; those of its triangle R if it is oblong."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    values: Tensor = torch.linalg.svdvals(_triangle(tall) if tall.shape[0] > tall.shape[1] else tall)
    return values


def smallest_singular_value(matrix: Tensor) -> float:
    """The smallest of the ``min(m, n)`` singular values of a float64 matrix ``[m, n]``; 0 if singular to rounding."""
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    n = tall.shape[1]
    square = tall.shape[0] == n and n > _DIRECT
    pivots: Tensor | None = None
    if square:  # half the work of a QR decomposition
        factor, pivots, _ = torch.linalg.lu_factor_ex(tall)
    else:
        factor = _triangle(tall)
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


def _triangle(tall: Tensor) -> Tensor:
    """R of ``A = QR``, ``[n, n]``: it has the singular values of A."""
    return torch.geqrf(tall)[0][: tall.shape[1]].triu()


def _solve(factor: Tensor, pivots: Tensor | None, column: Tensor, *, transposed: bool = False) -> Tensor:
    """``A^-1 b``, or ``A'^-1 b``, of A's LU factors, or of the triangle R where there are no pivots."""
    solved: Tensor
    if pivots is not None:
        solved = torch.linalg.lu_solve(factor, pivots, column, adjoint=transposed)
    else:
        triangle = factor.mT if transposed else factor
        solved = torch.linalg.solve_triangular(triangle, column, upper=not transposed)
    return solved
