"""Lanczos' method on many symmetric matrices at once, each known by its products with vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from gengap import seeding

Product = Callable[[Tensor], Tensor]
_INVARIANT = 1e-12  # Relative to the largest coefficient: below it the vectors so far span an invariant space.


@dataclass(frozen=True)
class Tridiagonal:
    """What m steps leave of B matrices.

    Attributes:
        diagonal: ``[B, m]``.
        off_diagonal: ``[B, m]``; the last column couples to the vector from which another step would start.
        steps: How many steps count for each matrix, ``[B]``: fewer than m if an invariant space was found, or if a
            product was not finite.
        basis: The orthonormal vectors, ``[B, m, P]``.
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray
    steps: np.ndarray
    basis: Tensor

    def ritz(self, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ritz values of one matrix, ascending, their weights in the start vector, and their residual norms.

        An eigenvalue lies within a value's residual norm of it (Parlett 1980, section 13.2). The weights are the
        squared first components of the tridiagonal matrix's eigenvectors: the weights of Gauss quadrature.

        Raises:
            ArithmeticError: If the matrix's first product was not finite.
        """
        m = int(self.steps[place])
        if m == 0:
            raise ArithmeticError("the product of the Hessian and a vector is not finite")
        diagonal, off_diagonal = self.diagonal[place, :m], self.off_diagonal[place, :m]
        values, vectors = scipy.linalg.eigh_tridiagonal(diagonal, off_diagonal[:-1])
        return values, vectors[0] ** 2, np.abs(off_diagonal[-1] * vectors[-1])

    def within(self, place: int, tolerance: float, ends: tuple[int, ...] = (0, -1)) -> bool:
        """Whether the smallest (0) and the largest (-1) Ritz value of one matrix have a relative error of `tolerance`.

        The error of a Ritz value with residual norm r is at most r, and at most r^2 / g, where g is its distance to
        the other eigenvalues (Parlett 1980, section 11.7), for which the next Ritz value stands in. An end within a
        thousandth of the other end's magnitude of 0 counts as that large.
        """
        values, _, residuals = self.ritz(place)
        if len(values) < 3:
            return False
        chosen = list(ends)
        gaps = np.diff(values)[chosen]
        errors = residuals[chosen] * np.minimum(1, residuals[chosen] / np.maximum(gaps, 1e-300))
        sizes = np.maximum(np.abs(values[chosen]), 1e-3 * np.abs(values).max())
        return bool((errors <= tolerance * sizes).all())


def start_vectors(seeds: Sequence[int], draws: int, size: int) -> Tensor:
    """Vectors of random signs, ``[len(seeds), draws, size]``, float64, from each seed's own stream."""
    drawn = [seeding.stream(seed, seeding.PROBE).choice([-1.0, 1.0], size=(draws, size)) for seed in seeds]
    return torch.from_numpy(np.stack(drawn))


@torch.no_grad()
def lanczos(
    product: Product, start: Tensor, iterations: int, finished: Callable[[Tridiagonal], bool] | None = None
) -> Tridiagonal:
    """Lanczos' recurrence with full reorthogonalisation, done twice, in float64.

    Args:
        product: Multiplies ``[B, P]`` by B symmetric matrices, one each.
        start: Start vectors ``[B, P]``, of any length but 0.
        iterations: Most steps; P if that is fewer.
        finished: Asked after every step whether to stop.

    Source: Parlett (1980), The Symmetric Eigenvalue Problem, chapter 13.
    """
    iterations = min(iterations, start.shape[1])
    basis = start.new_empty((len(start), iterations, start.shape[1]), dtype=torch.float64)
    basis[:, 0] = start / start.norm(dim=1, keepdim=True)
    coefficients = np.zeros((2, len(start), iterations))
    steps = np.zeros(len(start), dtype=int)
    running = np.ones(len(start), dtype=bool)
    for step in range(iterations):
        vector, spanned = basis[:, step], basis[:, : step + 1]
        image = product(vector).double()
        along = (vector * image).sum(dim=1)
        for _ in range(2):
            image = image - ((spanned @ image[:, :, None]).mT @ spanned)[:, 0]
        length = image.norm(dim=1)
        coefficients[:, :, step] = torch.stack([along, length]).cpu().numpy()
        diagonal, off_diagonal = coefficients[:, :, : step + 1]
        running &= np.isfinite(diagonal[:, -1]) & np.isfinite(off_diagonal[:, -1])
        steps = steps + running
        tridiagonal = Tridiagonal(diagonal, off_diagonal, steps, spanned)
        with np.errstate(invalid="ignore"):
            running &= off_diagonal[:, -1] > _INVARIANT * np.abs(coefficients[:, :, : step + 1]).max(axis=(0, 2))
        if (finished and finished(tridiagonal)) or not running.any():
            break
        if step + 1 < iterations:
            # Where the length is 0 the matrix no longer runs, and what follows does not count.
            basis[:, step + 1] = image / length.clamp(min=torch.finfo(torch.float64).tiny)[:, None]
    return tridiagonal
