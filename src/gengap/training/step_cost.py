"""What a step costs by its sizes, and whether compiling it pays.

By sizes only: a measured time would let noise decide the last bits of a result. Costs were fitted on one core of a CPU
to Song's network (widths 4 to 64, packs of 3 to 64), to perceptrons of 5 to 4,096 units, and to LeNet-5.
"""

import functools
from typing import NamedTuple

import torch
from torch import nn

from gengap.engine.layers.modules import input_shapes
from gengap.engine.stack import Architecture
from gengap.training.plain_step import forward_operations

# Of an uncompiled step: launching its operations, moving maps and weights through memory, and the products, by the
# floating-point operations of a forward pass.
_LAUNCH_SECONDS, _MAP_SECONDS, _UPDATE_SECONDS, _PRODUCT_SECONDS = 3e-3, 7e-9, 1e-8, 4e-11
# What compiling saves: nearly all launches and all but one pass through the weights, less of maps and products.
_SAVED, _SAVED_OF_MAPS, _SAVED_OF_PRODUCTS = 0.9, 0.6, 0.25
_WORTH_SECONDS = 35.0  # compiling takes about 20 s
# The same of a fused step: it launches little, once and for every group of networks, less on joined tensors; an
# optimiser moves every number in a few operations; and maps and products are as fast uncompiled. Compiling takes about
# 8 s.
_FUSED_LAUNCH_SECONDS, _GROUP_SECONDS, _FUSED_UPDATE_SECONDS = 1.9e-3, 0.13e-3, 1.2e-8
_JOINED_LAUNCH_SECONDS = 0.4e-3
_FUSED_MAP_SECONDS, _FUSED_PRODUCT_SECONDS = 5e-10, 2e-11
_FUSED_WORTH_SECONDS = 16.0
# Of a sparse step, by the weights that are left.
_SPARSE_LAUNCH_SECONDS, _SPARSE_PRODUCT_SECONDS = 0.8e-3, 4.5e-11
# What compiling saves of a step that a GPU replays. Estimates: every layer's operations become about 20 kernels fewer,
# each of which takes 2 us even if it has nothing to do, and a layer's numbers go four times less through memory.
_KERNEL_SECONDS, _KERNELS_PER_LAYER = 2e-6, 20
_PASSES_SAVED = 4


def pays(
    arch: Architecture,
    image_shape: tuple[int, int, int],
    *,
    n_networks: int,
    batch_size: int,
    n_steps: int,
    n_groups: int = 0,
    joined: bool = True,
) -> bool:
    """Predict whether compiling would save enough of the time that `n_steps` uncompiled steps take on a CPU.

    Args:
        arch: Of the networks.
        image_shape: ``(channels, height, width)``.
        n_networks: That train together.
        batch_size: Samples per step.
        n_steps: That are left.
        n_groups: Of the fused step, `gengap.training.fused_step.groups`; 0: the step is not fused.
        joined: Whether the fused step takes joined tensors.
    """
    sizes = {"n_networks": n_networks, "batch_size": batch_size, "n_groups": n_groups}
    eager, compiled = (
        step_seconds(arch, image_shape, **sizes, joined=joined, compiled=compiled) for compiled in (False, True)
    )
    return n_steps * (eager - compiled) > (_FUSED_WORTH_SECONDS if n_groups else _WORTH_SECONDS)


def step_seconds(
    arch: Architecture,
    image_shape: tuple[int, int, int],
    *,
    n_networks: int,
    batch_size: int,
    n_groups: int = 0,
    joined: bool = True,
    compiled: bool,
) -> float:
    """Seconds of one step on the processor that the costs above were fitted on; of use as a ratio of two packs.

    Args:
        arch: This and the other sizes as of `pays`.
        image_shape: The same.
        n_networks: The same.
        batch_size: The same.
        n_groups: The same.
        joined: The same.
        compiled: Whether the step is compiled.
    """
    of_sample, samples = _work(arch, image_shape), n_networks * batch_size
    weights = n_networks * arch.n_parameters
    if n_groups:
        launch = _JOINED_LAUNCH_SECONDS if joined else _FUSED_LAUNCH_SECONDS
        overhead = launch + n_groups * _GROUP_SECONDS + weights * _FUSED_UPDATE_SECONDS
        computed = of_sample.numbers * _FUSED_MAP_SECONDS + of_sample.operations * _FUSED_PRODUCT_SECONDS
        return (1 - _SAVED * compiled) * overhead + samples * computed
    overhead = _LAUNCH_SECONDS + weights * _UPDATE_SECONDS
    maps = of_sample.numbers * _MAP_SECONDS * (1 - _SAVED_OF_MAPS * compiled)
    products = of_sample.operations * _PRODUCT_SECONDS * (1 - _SAVED_OF_PRODUCTS * compiled)
    return (1 - _SAVED * compiled) * overhead + samples * (maps + products)


def sparse_step_seconds(
    arch: Architecture,
    image_shape: tuple[int, int, int],
    *,
    n_networks: int,
    batch_size: int,
    left: float,
    compiled: bool,
) -> float:
    """The same of a sparse step.

    Args:
        arch: This and the other sizes as of `pays`.
        image_shape: The same.
        n_networks: The same.
        batch_size: The same.
        left: Share of the weights that is left.
        compiled: Whether the step is compiled.
    """
    overhead = _SPARSE_LAUNCH_SECONDS + n_networks * left * arch.n_parameters * _FUSED_UPDATE_SECONDS
    products = n_networks * batch_size * left * _work(arch, image_shape).operations * _SPARSE_PRODUCT_SECONDS
    return (1 - _SAVED * compiled) * overhead + products


def pays_sparse(
    arch: Architecture,
    image_shape: tuple[int, int, int],
    *,
    n_networks: int,
    batch_size: int,
    left: float,
    n_steps: int,
) -> bool:
    """The same prediction as `pays`, of sparse steps; see `sparse_step_seconds`."""
    sizes = {"n_networks": n_networks, "batch_size": batch_size}
    eager, compiled = (
        sparse_step_seconds(arch, image_shape, **sizes, left=left, compiled=compiled) for compiled in (False, True)
    )
    return n_steps * (eager - compiled) > _FUSED_WORTH_SECONDS


def pays_on_gpu(
    arch: Architecture,
    image_shape: tuple[int, int, int],
    *,
    bandwidth: float,
    n_networks: int,
    batch_size: int,
    n_steps: int,
) -> bool:
    """The same prediction for steps that a GPU replays as a CUDA graph, compiled or not.

    Args:
        arch: This and the other sizes as of `pays`.
        image_shape: The same.
        bandwidth: Of the GPU's memory [bytes/s].
        n_networks: The same.
        batch_size: The same.
        n_steps: The same.
    """
    layers = _layers(arch, image_shape)
    numbers = n_networks * batch_size * sum(shape.numel() for _, shape in layers)
    saved = len(layers) * _KERNELS_PER_LAYER * _KERNEL_SECONDS
    saved += _PASSES_SAVED * numbers * torch.float32.itemsize / bandwidth
    return n_steps * saved > _WORTH_SECONDS


def gpu_bandwidth(device: torch.device) -> float:
    """What a GPU's memory can move [bytes/s], by its data sheet: two transfers per clock."""
    of = torch.cuda.get_device_properties(device)
    return 2.0 * 1000 * of.memory_clock_rate * of.memory_bus_width / 8


class _Work(NamedTuple):
    """What one sample costs.

    Attributes:
        numbers: Of all maps and tokens that layers read; vectors are few, and products read them.
        operations: Floating-point operations of a forward pass.
    """

    numbers: int
    operations: float


@functools.cache  # packs of a grid share architectures
def _work(arch: Architecture, image_shape: tuple[int, int, int]) -> _Work:
    read = [
        shape.numel()
        for layer, shape in _layers(arch, image_shape)
        if len(shape) > 1 and not isinstance(layer, nn.Flatten)
    ]
    return _Work(sum(read), forward_operations(arch, image_shape))


def _layers(arch: Architecture, image_shape: tuple[int, int, int]) -> list[tuple[nn.Module, torch.Size]]:
    """Every layer, a module without modules of its own, with the shape of one sample that it reads."""
    shapes = input_shapes(arch.training, nn.Module, image_shape)
    read = [(arch.training.get_submodule(name), shape) for name, shape in shapes.items()]
    return [(module, shape) for module, shape in read if next(module.children(), None) is None]
