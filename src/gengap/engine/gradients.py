"""The mean training loss over a whole set and its gradient, for a stack of networks."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from gengap import losses
from gengap.engine.groups import groups
from gengap.engine.stack import Architecture, State, outputs_and_buffers
from gengap.studies.settings import Loss

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
    """The gradient that `full_loss_and_gradient` returns."""
    return full_loss_and_gradient(
        arch, state, images, targets, loss, through_batch=through_batch, batch_size=batch_size
    )[1]


def full_loss_and_gradient(
    arch: Architecture,
    state: State,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    through_batch: bool,
    batch_size: int = 1000,
) -> tuple[Tensor, State]:
    """The mean loss over all samples and its gradient with respect to every parameter, summed in float64.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``; the arithmetic is in its dtype.
        images: ``[N, C, H, W]``, of any dtype: float64 weights need no float64 copy of the whole set.
        targets: ``[N]``.
        loss: The loss.
        through_batch: Normalise each batch by its own statistics and differentiate through them; else BatchNorm's
            statistics are the constants in the state.
        batch_size: Samples per call.

    Returns:
        The loss ``[K]``, and the gradient by parameter name, each ``[K, ...]``.
    """
    of_batch = vmap(grad_and_value(summed_loss(arch, loss, through_batch=through_batch)), in_dims=(0, 0, None, None))
    batches = list(zip(images.split(batch_size), targets.split(batch_size), strict=True))
    losses_of_parts, gradients = [], []
    for part in groups(state, images, batch_size):
        parameters = {name: part[name].detach() for name in arch.parameters}
        buffers = {name: part[name] for name in arch.buffers}
        first = parameters[arch.parameters[0]]
        # Sum, then divide once: the last batch is smaller, so a mean of batch means is biased.
        total_loss = torch.zeros(len(first), dtype=torch.float64, device=first.device)
        total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
        for x, y in batches:
            gradient, value = of_batch(parameters, buffers, x.to(first.dtype), y)
            total_loss += value.detach()
            for name in total:
                total[name] += gradient[name]
        losses_of_parts.append(total_loss / len(images))
        gradients.append({name: value / len(images) for name, value in total.items()})
    gathered = {name: torch.cat([part[name] for part in gradients]) for name in arch.parameters}
    return torch.cat(losses_of_parts), gathered
