"""Many products of one network's Hessian with vectors: what does not depend on the vector is computed once."""

import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, vjp, vmap

from gengap import losses
from gengap.engine.curvature import flatten, unflatten
from gengap.engine.gradients import SummedLoss, summed_loss
from gengap.engine.lanczos import Product
from gengap.engine.saved import saved_bytes
from gengap.engine.stack import Architecture, State
from gengap.settings import Loss

_KEPT = 2_000_000_000  # Bytes of gradients' graphs kept from product to product; others are computed anew each time.
_MOVED = 500_000_000  # Bytes of a graph times the vectors that go through it at once.


def repeated_product(
    arch: Architecture,
    state: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    through_batch: bool,
    batch_size: int = 1000,
) -> Product:
    """The Hessian of one network's mean loss over all samples, as a function of several vectors.

    Reverse over reverse differentiation: the Hessian is symmetric, so the gradient's pullback is the product. The graph
    of the gradient is kept for as many batches as memory allows, and samples whose loss has no derivative, those
    beyond the hinge's margin, are left out where BatchNorm's statistics are constant.

    Args:
        arch: The architecture.
        state: State of one network, with the stack's leading dimension of 1; its dtype is that of the arithmetic.
        images: ``[N, C, H, W]``, of any dtype.
        targets: ``[N]``.
        loss: The loss.
        through_batch: As in `gengap.engine.gradients.full_gradient`.
        batch_size: Samples per call.

    Returns:
        A function from ``[T, P]`` to ``[T, P]``, float64.
    """
    count = len(images)
    network = {name: value[0].detach() for name, value in state.items()}
    parameters = {name: network[name] for name in arch.parameters}
    buffers = {name: network[name] for name in arch.buffers}
    dtype = parameters[arch.parameters[0]].dtype
    if not through_batch:
        first, second = loss_derivatives(arch, network, images, targets, loss)
        counts = first.flatten(1).any(dim=1) | second.flatten(1).any(dim=1)
        images, targets = images[counts], targets[counts]
    summed = summed_loss(arch, loss, through_batch=through_batch)
    gradient_of = grad(summed)
    batches = list(zip(images.split(batch_size), targets.split(batch_size), strict=True)) if len(images) else []
    size = max(1, batch_size * _graph_size(summed, parameters, buffers, images[:16].to(dtype), targets[:16]) // 16)

    def pullback(x: Tensor, y: Tensor) -> Product:
        x = x.to(dtype)
        back = vjp(lambda moved: gradient_of(moved, buffers, x, y), parameters)[1]

        def multiply(vectors: Tensor) -> Tensor:
            result: State = vmap(back)(unflatten(arch, state, vectors))[0]
            return flatten(arch, result)

        return multiply

    kept = [pullback(x, y) for x, y in batches[: _KEPT // size]]
    at_once = max(1, _MOVED // size)

    def product(vectors: Tensor) -> Tensor:
        total = torch.zeros_like(vectors, dtype=torch.float64)
        for place, (x, y) in enumerate(batches):
            multiply = kept[place] if place < len(kept) else pullback(x, y)
            parts = vectors.to(dtype).split(at_once)
            total += torch.cat([multiply(part) for part in parts])
        return total / count

    return product


def loss_derivatives(
    arch: Architecture, network: State, images: Tensor, targets: Tensor, loss: Loss
) -> tuple[Tensor, Tensor]:
    """First and second derivatives of each sample's loss with respect to the outputs, in evaluation mode.

    Args:
        arch: The architecture.
        network: State of one network, without a leading dimension.
        images: ``[N, C, H, W]``, of any dtype.
        targets: ``[N]``.
        loss: The loss.

    Returns:
        ``[N, n_outputs]`` and ``[N, n_outputs, n_outputs]``.
    """
    dtype = network[arch.parameters[0]].dtype
    outputs = torch.cat([functional_call(arch.evaluation, network, (x.to(dtype),)) for x in images.split(1000)])
    sample_losses = losses.sample_losses(loss)

    def one(output: Tensor, target: Tensor) -> Tensor:
        return sample_losses(output[None], target[None])[0]

    return vmap(grad(one))(outputs, targets), vmap(hessian(one))(outputs, targets)


def _graph_size(summed: SummedLoss, parameters: State, buffers: State, x: Tensor, y: Tensor) -> int:
    """Bytes that the graph of a batch's gradient holds."""
    if not len(x):
        return 0
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    return saved_bytes(
        lambda: torch.autograd.grad(summed(leaves, buffers, x, y), list(leaves.values()), create_graph=True)
    )
