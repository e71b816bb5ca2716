"""Gradients of the mean training loss over a whole set, for a stack of networks."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, vmap

from gengap import losses
from gengap.engine.groups import groups
from gengap.engine.stack import Architecture, State, outputs_and_buffers
from gengap.settings import Loss

SummedLoss = Callable[[State, State, Tensor, Tensor], Tensor]


def summed_loss(arch: Architecture, loss: Loss, *, through_batch: bool) -> SummedLoss:
    """The sum of one network's sample losses, as a function of its parameters, buffers, images and targets."""
    sample_losses = losses.sample_losses(loss)
    network = arch.batch if through_batch else arch.evaluation

    def summed(parameters: State, buffers: State, images: Tensor, targets: Tensor) -> Tensor:
        outputs, _ = outputs_and_buffers(arch, network, {**parameters, **buffers}, images)
        return sample_losses(outputs, targets).sum()

    return summed


def full_gradient(
    arch: Architecture,
    state: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    through_batch: bool,
    batch_size: int = 1000,
) -> State:
    """Gradient of the mean loss over all samples with respect to every parameter, float64.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.
        targets: ``[N]``.
        loss: The loss.
        through_batch: Normalise each batch by its own statistics and differentiate through them; else BatchNorm's
            statistics are the constants in the state.
        batch_size: Samples per call.

    Returns:
        The gradient by parameter name, each ``[K, ...]``.
    """
    gradient_of = vmap(grad(summed_loss(arch, loss, through_batch=through_batch)), in_dims=(0, 0, None, None))
    batches = list(zip(images.split(batch_size), targets.split(batch_size), strict=True))
    parts = []
    for part in groups(state, images, batch_size):
        parameters = {name: part[name].detach() for name in arch.parameters}
        buffers = {name: part[name] for name in arch.buffers}
        # Sum, then divide once: the last batch is smaller, so a mean of batch means is biased.
        total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
        for x, y in batches:
            for name, gradient in gradient_of(parameters, buffers, x, y).items():
                total[name] += gradient
        parts.append({name: value / len(images) for name, value in total.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in arch.parameters}
