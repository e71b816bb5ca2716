"""The Hessian of the mean training loss over a whole set: its products with vectors, and its largest eigenvalue."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from gengap.engine.gradients import summed_loss
from gengap.engine.groups import groups
from gengap.engine.hessian.lanczos import Product, Tridiagonal, lanczos, start_vectors
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Loss


def hessian_vector_product(
    arch: Architecture,
    state: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    vectors: State,
    *,
    through_batch: bool,
    batch_size: int = 1000,
) -> State:
    """Product of each network's Hessian of the mean loss over all samples with a vector.

    Arithmetic is in the state's dtype, sums over batches in float64. Where the loss has a kink in its derivative,
    as the smooth hinge with p = 2 has, the second derivative is that of the side that autograd takes.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``, of any dtype.
        targets: ``[N]``.
        loss: The loss.
        vectors: One vector per network, by parameter name, each ``[K, ...]``.
        through_batch: As in `gengap.engine.gradients.full_gradient`.
        batch_size: Samples per call.

    Returns:
        The products by parameter name, each ``[K, ...]``, float64.

    Source: forward over reverse differentiation, Pearlmutter (1994), Fast exact multiplication by the Hessian.
    """
    gradient_of = grad(summed_loss(arch, loss, through_batch=through_batch))

    def product(parameters: State, buffers: State, vector: State, x: Tensor, y: Tensor) -> State:
        result: State = jvp(lambda moved: gradient_of(moved, buffers, x, y), (parameters,), (vector,))[1]
        return result

    mapped = vmap(product, in_dims=(0, 0, 0, None, None))
    total = {name: torch.zeros_like(state[name], dtype=torch.float64) for name in arch.parameters}
    first = 0
    for part in groups(state, images, batch_size):
        parameters = {name: part[name].detach() for name in arch.parameters}
        buffers = {name: part[name] for name in arch.buffers}
        here = slice(first, first + len(parameters[arch.parameters[0]]))
        vector = {name: vectors[name][here].to(parameters[name]) for name in arch.parameters}
        dtype = parameters[arch.parameters[0]].dtype
        for x, y in zip(images.split(batch_size), targets.split(batch_size), strict=True):
            for name, image in mapped(parameters, buffers, vector, x.to(dtype), y).items():
                total[name][here] += image
        first = here.stop
    return {name: value / len(images) for name, value in total.items()}


def largest_eigenvalue(
    arch: Architecture,
    state: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    through_batch: bool,
    tolerance: float,
    iterations: int,
    seeds: Sequence[int],
    batch_size: int = 1000,
) -> tuple[Tensor, list[int]]:
    """Largest signed eigenvalue of each network's Hessian of the mean loss over all samples, by Lanczos' method.

    A network's iteration ends when the residual norm of its largest Ritz value, which bounds the error, is at most
    `tolerance` times that value's magnitude. Arithmetic is in the state's dtype, as the products are.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.
        targets: ``[N]``.
        loss: The loss.
        through_batch: As in `hessian_vector_product`.
        tolerance: Relative error.
        iterations: Most products per network; its value is then the best so far, a lower bound.
        seeds: Each network's seed, from which its start vector comes.
        batch_size: Samples per call.

    Returns:
        The eigenvalues ``[K]``, float64, not a number for a network whose weights or products are not finite; and how
        many products each network took until it was done, whatever the others took.
    """
    found: list[Tensor] = []
    used: list[int] = []
    for part in groups(state, images, batch_size):
        first = sum(len(values) for values in found)
        size = len(part[arch.parameters[0]])
        start = start_vectors(seeds[first : first + size], 1, arch.n_parameters)[:, 0].to(images.device)
        multiply = functools.partial(
            hessian_vector_product,
            arch,
            part,
            images,
            targets,
            loss,
            through_batch=through_batch,
            batch_size=batch_size,
        )
        product = functools.partial(_flat_product, arch, part, multiply)
        values, products = _largest(product, start, tolerance, iterations)
        # A clamp in the loss gives not-a-number the derivative 0, so the products alone do not tell.
        finite = flatten(arch, part).isfinite().all(dim=1).cpu()
        found.append(torch.from_numpy(values).where(finite, torch.nan))
        used += products
    return torch.cat(found).to(images.device), used


def _largest(product: Product, start: Tensor, tolerance: float, iterations: int) -> tuple[np.ndarray, list[int]]:
    """Each matrix's largest Ritz value at the step at which that matrix is done, so that others change nothing.

    Also how many steps that were.
    """
    largest = np.full(len(start), np.nan)
    done = np.zeros(len(start), dtype=bool)
    used = np.zeros(len(start), dtype=int)

    def finished(found: Tridiagonal) -> bool:
        used[~done] += 1
        for place in np.flatnonzero(~done & (found.steps > 0)):
            values, _, residuals = found.ritz(int(place))
            largest[place] = values[-1]
            done[place] = residuals[-1] <= tolerance * abs(values[-1])
        done[found.steps < found.diagonal.shape[1]] = True
        return bool(done.all())

    lanczos(product, start, iterations, finished)
    return largest, used.tolist()


def _flat_product(arch: Architecture, like: State, multiply: Callable[[State], State], flat: Tensor) -> Tensor:
    return flatten(arch, multiply(unflatten(arch, like, flat)))


def flatten(arch: Architecture, vectors: State) -> Tensor:
    """Vectors by parameter name, each ``[K, ...]``, as one tensor ``[K, P]``."""
    return torch.cat([vectors[name].flatten(1) for name in arch.parameters], dim=1)


def unflatten(arch: Architecture, like: State, flat: Tensor) -> State:
    """The inverse of `flatten`; shapes are those of the stacked state `like`."""
    sizes = [like[name][0].numel() for name in arch.parameters]
    parts = flat.split(sizes, dim=1)
    return {
        name: part.reshape(len(flat), *like[name].shape[1:]) for name, part in zip(arch.parameters, parts, strict=True)
    }
