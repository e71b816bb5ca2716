"""One training step of a stack of networks, as one function of tensors."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from gengap import losses, registry
from gengap.engine.cpu.batch_last import batch_last, gather_batches
from gengap.engine.cuda.products import with_products
from gengap.engine.stack import Architecture, State, outputs_and_buffers
from gengap.studies.settings import Cell
from gengap.training import masks, random_inputs, subspace
from gengap.training.augmentation import augmented
from gengap.training.optimizers import OptimizerState


class NetworkState(NamedTuple):
    """What a step changes: the stacked networks and their optimiser's state.

    Attributes:
        parameters: ``[K, ...]``.
        buffers: ``[K, ...]``: BatchNorm's running statistics.
        optimizer_state: By kind and parameter, ``[K, ...]``; see `gengap.training.optimizers`.
    """

    parameters: State
    buffers: State
    optimizer_state: OptimizerState


class StepInputs(NamedTuple):
    """What a step reads besides the networks and the data set.

    Attributes:
        samples: The samples of every network's batch, int64 ``[K, B]``.
        hyperparameters: What the optimiser reads, each ``[K]``; see `stacked_settings`.
        augmentations: The epoch's draws of `gengap.training.augmentation`; empty if there are none.
        random_inputs: The step's draws of `gengap.training.random_inputs`; empty if there are none.
    """

    samples: Tensor
    hyperparameters: dict[str, Tensor]
    augmentations: dict[str, Tensor]
    random_inputs: State


# From the networks, all images ``[N, C, H, W]``, all targets ``[N]`` and the step's inputs to the networks after the
# step, and their losses ``[K]`` before it.
Step = Callable[[NetworkState, Tensor, Tensor, StepInputs], tuple[NetworkState, Tensor]]


# From the parameters, buffers and random inputs of ONE network, its images ``[B, C, H, W]`` and targets ``[B]``, to its
# mean loss and its buffers after the step.
MeanLoss = Callable[[State, State, State, Tensor, Tensor], tuple[Tensor, State]]
# From a stack's parameters, gradients, optimiser state and hyperparameters to its new parameters and optimiser state.
Update = Callable[[State, State, OptimizerState, dict[str, Tensor]], tuple[State, OptimizerState]]


def make_step(arch: Architecture, cell: Cell) -> Step:
    """The step of all networks of a pack.

    Args:
        arch: Their architecture.
        cell: Any cell of the pack: loss, kind of optimiser, augmentation, noise and precision are shared.

    Returns:
        A function that gathers every network's own batch from the resident data and updates all networks. The loss
        it returns is the mean data loss of each network on its batch, before the step.
    """
    trained = random_inputs.network(arch, cell)
    network = batch_last(trained)
    gradients_of = {
        device: vmap(grad_and_value(mean_loss(arch, cell, its_own), has_aux=True))
        for device, its_own in (("cpu", network), ("cuda", with_products(trained)))
    }
    updated = update(arch, cell)

    def step(
        networks: NetworkState, images: Tensor, targets: Tensor, inputs: StepInputs
    ) -> tuple[NetworkState, Tensor]:
        samples, hyperparameters, augmentations, drawn = inputs
        batch = (
            augmented(images, samples, **augmentations) if augmentations else gather_batches(network, images, samples)
        )
        gradients, (loss, buffers) = gradients_of[images.device.type](
            networks.parameters, networks.buffers, drawn, batch, targets[samples]
        )
        parameters, optimizer_state = updated(networks.parameters, gradients, networks.optimizer_state, hyperparameters)
        return NetworkState(parameters, buffers, optimizer_state), loss

    return step


def mean_loss(arch: Architecture, cell: Cell, network: nn.Module) -> MeanLoss:
    """What a step differentiates.

    Args:
        arch: Names the buffers.
        cell: Loss and precision are read.
        network: The module in training mode, from `random_inputs.network`.
    """
    sample_losses = losses.sample_losses(cell.loss)
    mixed = cell.training.dtype == "bfloat16"

    def loss_and_buffers(
        parameters: State, buffers: State, drawn: State, images: Tensor, targets: Tensor
    ) -> tuple[Tensor, State]:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=mixed, cache_enabled=False):
            outputs, new_buffers = outputs_and_buffers(arch, network, {**parameters, **buffers, **drawn}, images)
        return sample_losses(outputs.to(images.dtype), targets).mean(), new_buffers

    return loss_and_buffers


def output_gradients_and_loss(
    sample_losses: losses.SampleLosses, outputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradient of the mean loss of every network with respect to its outputs, and that loss ``[K]``.

    By autograd: `torch.func` would take half the time of a short step.

    Args:
        sample_losses: See `gengap.losses.sample_losses`.
        outputs: ``[K, B, n_outputs]``.
        targets: ``[K, B]``, or ``[K, B, n_outputs]``.
    """
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        each = sample_losses(leaf.flatten(0, 1), targets.flatten(0, 1))
        loss = each.view(len(outputs), -1).mean(dim=1)
        return torch.autograd.grad(loss.sum(), leaf)[0], loss.detach()


def update(arch: Architecture, cell: Cell) -> Update:
    """The optimiser's step, along a subspace if there is one; pruned weights, if there are any, stay zero."""
    optimizer = registry.load("optimizer", cell.optimizer.name)

    def updated(
        parameters: State, gradients: State, optimizer_state: OptimizerState, hyperparameters: dict[str, Tensor]
    ) -> tuple[State, OptimizerState]:
        if cell.training.subspace is not None:
            return subspace.step(arch, cell, optimizer, parameters, gradients, optimizer_state, hyperparameters)
        if masks.MASK in optimizer_state:
            return masks.step(optimizer, parameters, gradients, optimizer_state, hyperparameters, cell.optimizer)
        moved: tuple[State, OptimizerState] = optimizer.step(
            parameters, gradients, optimizer_state, hyperparameters, cell.optimizer
        )
        return moved

    return updated
