"""One training step of a stack of networks, as one function of tensors."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from gengap import losses, registry
from gengap.engine.cpu.batch_last import batch_last, gather_batches
from gengap.engine.stack import Architecture, State, outputs_and_buffers
from gengap.studies.settings import Cell
from gengap.training import random_inputs
from gengap.training.augmentation import augmented
from gengap.training.optimizers import Memory

# (parameters, buffers, memory, images, targets, index [K, B], numbers, changes, field)
# -> (parameters, buffers, memory, loss [K])
Step = Callable[
    [State, State, Memory, Tensor, Tensor, Tensor, dict[str, Tensor], dict[str, Tensor], State],
    tuple[State, State, Memory, Tensor],
]


def make_step(arch: Architecture, cell: Cell) -> Step:
    """The step of all networks of a pack.

    Args:
        arch: Their architecture.
        cell: Any cell of the pack: loss, kind of optimiser, augmentation, noise and precision are shared.

    Returns:
        A function that gathers every network's own batch from the resident data and updates all networks. The loss
        it returns is the mean data loss of each network on its batch, before the step. `changes` are the epoch's
        draws of `training.augmentation`, `field` the step's of `training.fields`; both are empty where there is none.
    """
    sample_losses = losses.sample_losses(cell.loss)
    optimizer = registry.load("optimizer", cell.optimizer.name)
    network = batch_last(random_inputs.network(arch, cell))
    mixed = cell.training.dtype == "bfloat16"

    def mean_loss(
        parameters: State, buffers: State, field: State, images: Tensor, targets: Tensor
    ) -> tuple[Tensor, State]:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False):
            outputs, new_buffers = outputs_and_buffers(arch, network, {**parameters, **buffers, **field}, images)
        return sample_losses(outputs.to(images.dtype), targets).mean(), new_buffers

    gradients_of = vmap(grad_and_value(mean_loss, has_aux=True))

    def step(
        parameters: State,
        buffers: State,
        memory: Memory,
        images: Tensor,
        targets: Tensor,
        index: Tensor,
        numbers: dict[str, Tensor],
        changes: dict[str, Tensor],
        field: State,
    ) -> tuple[State, State, Memory, Tensor]:
        batch = augmented(images, index, **changes) if changes else gather_batches(network, images, index)
        gradients, (loss, new_buffers) = gradients_of(parameters, buffers, field, batch, targets[index])
        parameters, memory = optimizer.step(parameters, gradients, memory, numbers, cell.optimizer)
        return parameters, new_buffers, memory, loss

    return step
