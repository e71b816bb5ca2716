"""The largest eigenvalue of each network's Hessian."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gengap.engine.groups import groups
from gengap.engine.hessian.lanczos import Product, Tridiagonal, lanczos, start_vectors
from gengap.engine.hessian.repeated_hvp import repeated_product
from gengap.engine.objective import Objective
from gengap.engine.stack import flatten, n_networks, unflatten


def largest_eigenvalue(
    objective: Objective, *, tolerance: float, iterations: int, seeds: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """Largest signed eigenvalue of each network's Hessian of the mean loss over all samples, by Lanczos' method.

    A network's iteration ends when the residual norm of its largest Ritz value, which bounds the error, is at most
    `tolerance` times that value's magnitude. Arithmetic is in the state's dtype, as the products are.

    Args:
        objective: Of K networks.
        tolerance: Relative error.
        iterations: Most products per network; its value is then the best so far, a lower bound.
        seeds: Each network's seed, from which its start vector comes.

    Returns:
        The eigenvalues ``[K]``, float64, not a number for a network whose weights or products are not finite; and how
        many products each network took until it had converged.
    """
    arch, device = objective.arch, objective.images.device
    # A CPU takes one network at a time, whose gradient's graph can be kept; a GPU many, whose graphs would not fit.
    operator = repeated_product if device.type == "cpu" else hessian_operator
    eigenvalues: list[Tensor] = []
    products: list[int] = []
    for state in groups(objective.state, objective.images, objective.batch_size):
        here = slice(len(products), len(products) + n_networks(state))
        start = start_vectors(seeds[here], 1, arch.n_parameters)[:, 0].to(device)
        values, used = _largest(operator(objective.at(state)), start, tolerance, iterations)
        # A clamp in the loss gives not-a-number the derivative 0, so the products do not tell.
        finite = flatten(arch, state).isfinite().all(dim=1).cpu()
        eigenvalues.append(torch.from_numpy(values).where(finite, torch.nan))
        products += used
    return torch.cat(eigenvalues).to(device), products


def hessian_operator(objective: Objective) -> Product:
    """The Hessians of K networks as a function of one vector each, ``[K, P]``."""
    return lambda vectors: flatten(objective.arch, objective.hvp(unflatten(objective.arch, vectors)))


def _largest(product: Product, start: Tensor, tolerance: float, iterations: int) -> tuple[np.ndarray, list[int]]:
    """Each matrix's largest Ritz value at the step at which that matrix is done, so that others change nothing.

    Also how many steps that were.
    """
    largest = np.full(len(start), np.nan)
    done = np.zeros(len(start), dtype=bool)
    used = np.zeros(len(start), dtype=int)

    def finished(so_far: Tridiagonal) -> bool:
        used[~done] += 1
        for place in np.flatnonzero(~done & (so_far.steps > 0)):
            values, _, residuals = so_far.ritz(int(place))
            largest[place] = values[-1]
            done[place] = residuals[-1] <= tolerance * abs(values[-1])
        done[so_far.steps < so_far.diagonal.shape[1]] = True
        return bool(done.all())

    lanczos(product, start, iterations, finished)
    return largest, used.tolist()
