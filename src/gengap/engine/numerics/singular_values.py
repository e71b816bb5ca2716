"""Singular values of matrices and of the unfoldings of tensors, by matrix products and eigenvalues only.

The eigenvalues of the Gram matrix ``A A'`` are the squared singular values, each with an error of about
``eps sigma_max^2``, large or small. So ``sigma`` has the error ``eps sigma_max^2 / sigma``: next to nothing for the
large ones, everything below ``1e-8 sigma_max``. The small ones are taken from a second matrix, in which they are not
small. With ``L L' = A A' + mu^2 I``, ``B = L^-1 A`` has the singular values ``sigma / sqrt(sigma^2 + mu^2)``: all in
[0, 1), and those far below ``mu`` come out as ``sigma / mu``. B is made from A and not from the Gram matrix, so nothing
of them is lost: the error of L is a relative one of ``eps (sigma_max / mu)^2``, and by Ostrowski's theorem no singular
value of B changes by a larger share. Repeating the step reaches any depth. This is the first step of shifted Cholesky
QR (Fukaya et al. 2020, SIAM J. Sci. Comput. 42, A477), used for the singular values.

A matrix of low rank, as images after linear layers give, needs no second round. Pivoted Cholesky of the Gram matrix
finds r rows ``A_P`` on which the others depend: ``A = M + [0; E]`` with ``M = [I; T] A_P`` of rank r and
``E = A_N - T A_P``, which is computed from A itself. By Weyl's theorem no singular value of A is further than ``||E||``
from M's, of which all but r are zero. Once ``||E||_F`` is below what matters, r values are those of M, and the others
stand for zero: the bound holds for any T.
"""

import math

import numpy as np
import scipy.linalg.lapack
import torch
from torch import Tensor

# Values below this share of the largest are taken from the second matrix; also the share mu / sigma_max. The rounding
# of a Gram matrix of n columns is at most n eps || |A| ||^2, in practice about eps sigma_max^2, so every value keeps
# 8 digits in practice, and 5 at worst for activations, whose entries share one sign (n = 4704).
_TRUSTED = 2e-4
_BLOCKS = 8
_DEPENDENT = 1e-11  # share of the largest square below which what is left of a row is dependent on others, or rounding


def singular_values(matrix: Tensor, floor: float = 0.0) -> Tensor:
    """Singular values of a float64 matrix, in descending order.

    Args:
        matrix: ``[rows, columns]``.
        floor: Differences smaller than this do not matter; a larger one saves time on matrices of low rank, whose
            other values are 0 then. The error of a value is at most the largest of 1e-7 of itself, `floor`, and a few
            ``eps sigma_max``.

    Returns:
        ``[min(rows, columns)]``.

    Raises:
        ValueError: If an entry is not finite, or the matrix is not float64.
    """
    if matrix.dtype != torch.float64:
        raise ValueError(f"singular values need a float64 matrix, got {matrix.dtype}. Use float32_singular_values")
    wide, largest = _wide(matrix)
    if largest == 0:
        return wide.new_zeros(len(wide))
    # So that no square overflows or vanishes; a power of two changes no digit.
    scale = 2.0 ** math.frexp(largest)[1] if not 1e-50 < largest < 1e50 else 1.0
    values = _descend(wide if scale == 1 else wide / scale, max(floor, 2e-16 * largest) / scale)
    return values * scale


def float32_singular_values(matrix: Tensor) -> Tensor:
    """Singular values as float32 arithmetic gives them, noise of about ``1e-7 sigma_max`` included.

    Args:
        matrix: ``[rows, columns]``, float32.

    Returns:
        ``[min(rows, columns)]``, float32, descending: QR, then LAPACK's SVD of the triangle.

    Raises:
        ValueError: If an entry is not finite.
    """
    wide, _ = _wide(matrix.float())
    triangle = torch.linalg.qr(wide.T, mode="r")[1]
    return torch.from_numpy(np.linalg.svd(triangle.cpu().numpy(), compute_uv=False)).to(matrix.device)


def unfolding(tensor: Tensor, mode: int) -> Tensor:
    """The mode-n unfolding ``[size of the mode, product of the other sizes]`` of a tensor.

    Source: De Lathauwer, De Moor and Vandewalle (2000), A multilinear singular value decomposition, definition 1.
    """
    return tensor.movedim(mode, 0).flatten(1)


def _wide(matrix: Tensor) -> tuple[Tensor, float]:
    """The matrix, or its transpose, with no more rows than columns; and its largest entry in absolute value."""
    low, high = matrix.aminmax()
    largest = max(-float(low), float(high))
    if not math.isfinite(largest):
        raise ValueError("a matrix with entries that are not finite numbers has no singular values")
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T, largest


def _descend(wide: Tensor, floor: float) -> Tensor:
    gram = _gram(wide)
    dependent = _has_dependent_rows(gram)
    if dependent and (spectrum := _of_low_rank(wide, gram, floor)) is not None:
        return spectrum
    values: Tensor = torch.linalg.eigvalsh(gram).flip(0).clamp(min=0).sqrt()
    largest = float(values[0])
    trusted = _trusted(values)
    # The others are uncertain by about sqrt(eps) of the largest.
    if trusted == len(values) or 1e-7 * largest <= floor:
        return values
    if not dependent and (spectrum := _of_low_rank(wide, gram, floor)) is not None:
        return spectrum
    shift = _TRUSTED * largest
    gram.diagonal().add_(shift**2)
    lifted = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), wide, upper=False)
    small = _descend(lifted, floor / shift)[trusted:]
    return torch.cat([values[:trusted], shift * small / (1 - small.square()).sqrt()])


def _trusted(values: Tensor) -> int:
    """How many of the roots of a Gram matrix's eigenvalues have nothing but small relative errors."""
    return int((values >= _TRUSTED * values[0]).sum())


def _has_dependent_rows(gram: Tensor) -> bool:
    """Whether the first half of the rows shows that the matrix is of low rank, at little cost."""
    half = gram[: math.ceil(len(gram) / 2), : math.ceil(len(gram) / 2)]
    factor, failed = torch.linalg.cholesky_ex(half)
    return bool(failed) or bool((factor.diagonal().square() <= _DEPENDENT * half.diagonal()).any())


def _of_low_rank(wide: Tensor, gram: Tensor, floor: float) -> Tensor | None:
    """The singular values of M, up to `floor` those of the matrix too; None if M is too far off, or not of low rank."""
    largest = float(gram.diagonal().max())
    factor, pivots, rank, _ = scipy.linalg.lapack.dpstrf(gram.cpu().numpy().T, tol=_DEPENDENT * largest)
    rows = torch.from_numpy(pivots.astype(np.int64) - 1).to(wide.device)
    upper = torch.from_numpy(factor[:rank]).to(wide.device)
    share = torch.linalg.solve_triangular(upper[:, :rank], upper[:, rank:], upper=True)
    rest = wide[rows[rank:]].addmm_(share.mT, wide[rows[:rank]], alpha=-1)
    if not float(rest.norm()) <= floor:
        return None
    upper[:, :rank].triu_()  # LAPACK leaves the other triangle as it was
    values: Tensor = torch.linalg.eigvalsh(_gram(upper)).flip(0).clamp(min=0).sqrt()
    if _trusted(values) < rank:
        return None
    return torch.cat([values, values.new_zeros(len(wide) - rank)])


def _gram(wide: Tensor) -> Tensor:
    """The lower triangle of ``A A'`` by blocks of rows, at little more than half the work of the whole product."""
    size = len(wide)
    gram = wide.new_zeros(size, size)
    step = math.ceil(size / _BLOCKS)
    for at in range(0, size, step):
        end = min(at + step, size)
        gram[at:end, :end] = wide[at:end] @ wide[:end].T
    return gram
