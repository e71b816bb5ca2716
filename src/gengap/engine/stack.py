"""A stack: K networks of one architecture, their weights along a leading dimension, run as one function.

A *state* is a plain dict from the architecture's own names (parameters and float buffers) to tensors ``[K, ...]``.
"""

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gengap import inits, models, seeding
from gengap.engine.layers import batchnorm, layernorm
from gengap.studies.settings import Cell

State = dict[str, Tensor]
Name = TypeVar("Name")


@dataclass(frozen=True)
class Architecture:
    """What the networks of a stack share.

    Attributes:
        training: The module in training mode; BatchNorm uses the batch's statistics and updates the running ones.
        batch: The same for measuring: BatchNorm as in training, everything else, such as dropout, as in evaluation.
        evaluation: The same in evaluation mode; BatchNorm uses the running statistics.
        statistics: As `batch`, with BatchNorm that replaces the running statistics by the batch's.
        parameters: Names of the parameters.
        buffers: Names of the buffers, BatchNorm's running statistics.
        layers: Names of the convolutions and linear layers in the network's order.
    """

    training: nn.Module
    batch: nn.Module
    evaluation: nn.Module
    statistics: nn.Module
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]
    layers: tuple[str, ...]

    @property
    def n_parameters(self) -> int:
        """Parameters of one network."""
        return sum(parameter.numel() for parameter in self.training.parameters())


def architecture(network: nn.Module) -> Architecture:
    """Prepare an ordinary module. Its weights are not kept: states carry them."""
    bare = layernorm.convert(copy.deepcopy(network).to("meta"))
    training = batchnorm.convert(copy.deepcopy(bare)).train()
    statistics = batchnorm.convert(copy.deepcopy(bare), batchnorm.StatisticsBatchNorm)
    return Architecture(
        training=training,
        batch=batchnorm.only_batchnorm_trains(copy.deepcopy(training)),
        evaluation=copy.deepcopy(training).eval(),
        statistics=batchnorm.only_batchnorm_trains(statistics),
        parameters=tuple(name for name, _ in training.named_parameters()),
        buffers=tuple(name for name, _ in training.named_buffers()),
        layers=tuple(name for name, _ in inits.weight_layers(network)),
    )


def initial_state(
    cells: Sequence[Cell],
    image_shape: tuple[int, int, int],
    n_outputs: int,
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> State:
    """Initial weights of every cell, each from the cell's own stream, so that no pack changes them.

    Drawn in float32 on the CPU for every `dtype` and `device`: the same cell starts from the same numbers everywhere.
    """
    states = []
    for cell in cells:
        network = models.build(cell.model, image_shape, n_outputs)
        generator = torch.Generator().manual_seed(seeding.torch_seed(cell.seed, seeding.INIT))
        inits.initialise(network, cell.init, generator)
        states.append({name: value for name, value in network.state_dict().items() if value.is_floating_point()})
    return {name: torch.stack([state[name] for state in states]).to(device, dtype) for name in states[0]}


def take(state: Mapping[str, Tensor], index: Tensor | Sequence[int] | slice) -> State:
    """The chosen networks of a stack."""
    if not isinstance(index, (Tensor, slice)):
        index = torch.as_tensor(index)
    return {name: value[index] for name, value in state.items()}


def n_networks(state: Mapping[str, Tensor]) -> int:
    """K, the number of networks of a stack."""
    return len(next(iter(state.values())))


def network_state(state: Mapping[str, Tensor], place: int) -> State:
    """The state of one network of a stack, without the leading dimension."""
    return {name: value[place] for name, value in state.items()}


def concatenate(parts: Sequence[Mapping[Name, Tensor]]) -> dict[Name, Tensor]:
    """Stacks ``[K_i, ...]`` joined into one, by name."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def stacked(states: Sequence[Mapping[Name, Tensor]], dim: int = 0) -> dict[Name, Tensor]:
    """Single states along a new dimension, by name."""
    return {name: torch.stack([state[name] for state in states], dim) for name in states[0]}


def flatten(arch: Architecture, state: Mapping[str, Tensor]) -> Tensor:
    """Each network's parameters as one vector, ``[K, P]``, in the order of `Architecture.parameters`."""
    return torch.cat([state[name].flatten(1) for name in arch.parameters], dim=1)


def unflatten(arch: Architecture, vectors: Tensor) -> State:
    """The inverse of `flatten`: vectors ``[K, P]`` by parameter name, each ``[K, ...]``."""
    shapes = [arch.training.get_parameter(name).shape for name in arch.parameters]
    parts = vectors.split([shape.numel() for shape in shapes], dim=1)
    return {name: part.reshape(-1, *shape) for name, shape, part in zip(arch.parameters, shapes, parts, strict=True)}


def outputs(network: nn.Module, state: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Outputs of all networks on the same images.

    Args:
        network: One of the modules of an `Architecture`.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.

    Returns:
        ``[K, N, n_outputs]``.
    """
    result: Tensor = vmap(functools.partial(_call, network), in_dims=(0, None))(dict(state), images)
    return result


def _call(network: nn.Module, state: State, images: Tensor) -> Tensor:
    result: Tensor = functional_call(network, state, (images,))
    return result


def outputs_and_buffers(arch: Architecture, network: nn.Module, state: State, images: Tensor) -> tuple[Tensor, State]:
    """One network's outputs and the buffers after the call.

    Args:
        arch: Names the buffers.
        network: A module in training mode, from `arch`.
        state: The state of ONE network; map this function over the first dimension for a stack.
        images: ``[N, C, H, W]``.
    """
    # `functional_call` writes tensors that the module assigned to its buffers back into the dict it was given.
    state = dict(state)
    result = _call(network, state, images)
    return result, {name: state[name] for name in arch.buffers}
