"""Least squares of minimum norm in float64, for matrices of ten thousand rows.

Factors without pivots come first: they cost a tenth of singular values. The condition number, of two extreme singular
values of the factor, says whether they suffice; only what is singular within the cutoff pays for all singular values.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor

_FEW = 64  # rows, up to which all singular values cost less than two
_LANCZOS = 1e-8  # relative error of an extreme eigenvalue


class Solution(NamedTuple):
    """Coefficients of minimum norm, and largest over smallest singular value of what was fitted."""

    coefficients: Tensor
    condition: float


def least_squares(matrix: Tensor, targets: Tensor, cutoff: float) -> Solution:
    """Of the x that minimise ``|matrix x - targets|``, the one of least norm, by orthogonal factors.

    Args:
        matrix: Real or complex, ``[n, N]``.
        targets: ``[n, k]``.
        cutoff: Smaller singular values, as a share of the largest, count as 0.

    Returns:
        Coefficients ``[N, k]``.
    """
    wide = matrix.shape[1] > matrix.shape[0]
    packed, scales = torch.geqrf(matrix.mH if wide else matrix)
    size = min(matrix.shape)
    triangle = packed[:size].triu()
    targets = targets.to(matrix.dtype)
    right = targets if wide else torch.ormqr(packed, scales, targets, transpose=True)[:size]
    condition = _condition_of_triangle(triangle, upper=True)
    if condition * cutoff <= 1:
        factor = triangle.mH if wide else triangle
        solved = torch.linalg.solve_triangular(factor, right, upper=not wide)
    else:
        left, values, other = torch.linalg.svd(triangle, full_matrices=False)
        condition = _ratio(values)
        inverse = _inverse(values, values >= cutoff * values[0]).to(matrix.dtype)[:, None]
        solved = left @ (inverse * (other @ right)) if wide else other.mH @ (inverse * (left.mH @ right))
    if wide:
        padded = torch.cat([solved, solved.new_zeros(matrix.shape[1] - size, solved.shape[1])])
        solved = torch.ormqr(packed, scales, padded)
    return Solution(solved, condition)


def dual(products: Tensor, targets: Tensor, cutoff: float) -> Solution:
    """The same from products of rows, ``matrix matrix^H``: coefficients are ``matrix^H`` times what is returned.

    Faster where columns are many; the condition number is squared on the way, so an eigenvalue below n times the
    rounding error of float64 counts as 0 as well.

    Args:
        products: Hermitian, ``[n, n]``; only its lower triangle is read.
        targets: ``[n, k]``.
        cutoff: Smaller singular values of the matrix, as a share of the largest, count as 0.

    Returns:
        Coefficients ``[n, k]``, and the condition number of the matrix, not of the products.
    """
    targets = targets.to(products.dtype)
    least = max(cutoff**2, len(products) * torch.finfo(torch.float64).eps)
    factor, failed = torch.linalg.cholesky_ex(products)
    condition = math.inf if failed.item() else _condition_of_triangle(factor, upper=False)
    if condition**2 * least <= 1:
        return Solution(torch.cholesky_solve(targets, factor), condition)
    del factor
    values, vectors = torch.linalg.eigh(products)
    inverse = _inverse(values, values >= least * values[-1]).to(products.dtype)[:, None]
    return Solution(vectors @ (inverse * (vectors.mH @ targets)), _ratio(values.clamp(min=0).sqrt()))


def _condition_of_triangle(triangle: Tensor, *, upper: bool) -> float:
    """Largest over smallest singular value: two Lanczos iterations, of T^H T and of its inverse."""
    if len(triangle) <= _FEW:
        return _ratio(torch.linalg.svdvals(triangle))
    if not triangle.diagonal().abs().min() > 0:
        return math.inf

    def multiplied(vector: Tensor) -> Tensor:
        return torch.mm(triangle.mH, triangle @ vector)

    def solved(vector: Tensor) -> Tensor:
        inner = torch.linalg.solve_triangular(triangle.mH, vector, upper=not upper)
        outer: Tensor = torch.linalg.solve_triangular(triangle, inner, upper=upper)
        return outer

    try:
        largest, least = _largest_eigenvalue(multiplied, triangle), _largest_eigenvalue(solved, triangle)
    except ArpackError:  # not converged, or numbers beyond float64: all singular values are to decide
        return math.inf
    return math.sqrt(largest * least)


def _largest_eigenvalue(apply: Callable[[Tensor], Tensor], like: Tensor) -> float:
    """Of a Hermitian operator on vectors of the size and type of a column, from a start that is always the same."""

    def product(vector: NDArray[Any]) -> NDArray[Any]:
        column = torch.from_numpy(vector.reshape(-1, 1)).to(like.device)
        return apply(column).cpu().numpy().reshape(-1)

    start = torch.linspace(1, 2, len(like), dtype=torch.float64).to(like.dtype).numpy()
    operator = LinearOperator(like.shape, matvec=product, dtype=start.dtype)
    return float(eigsh(operator, k=1, v0=start, tol=_LANCZOS, return_eigenvectors=False)[0])


def _inverse(values: Tensor, kept: Tensor) -> Tensor:
    return torch.where(kept, 1 / torch.where(kept, values, 1), 0)


def _ratio(values: Tensor) -> float:
    return (values.max() / values.min().clamp(min=torch.finfo(torch.float64).tiny)).item()
