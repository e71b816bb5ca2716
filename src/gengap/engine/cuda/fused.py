"""A network's training step in two launches, as functions of tensors: the kernels of `kernels.py` as operators.

Forward, backward and nothing else: losses and optimisers are PyTorch's operators on what lies between and after.
"""

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from gengap.engine.cuda.program import N_FIELDS, Program
from gengap.engine.stack import State

_BLOCK = 128  # samples that are read together: a thread each
_WARPS = 4


def maps_and_statistics(program: Program, parameters: State, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a pack's forward pass computes.

    Args:
        program: Of these networks.
        parameters: Stacked ``[K, ...]``.
        images: Of every network ``[K, N, C, H, W]``.

    Returns:
        All maps ``[K, size, N]``, and mean and biased variance of every BatchNorm's features, ``[K, 2, n_features]``.
    """
    result: tuple[Tensor, Tensor] = torch.ops.gengap_cuda.forward(
        images, weights(program, parameters), program.instructions, program.size, program.n_features, program.eps
    )
    return result


def outputs(program: Program, maps: Tensor) -> Tensor:
    """The networks' outputs among their maps, ``[K, N, n_outputs]``."""
    return maps[:, program.outputs :].transpose(1, 2)


def gradients(program: Program, parameters: State, maps: Tensor, statistics: Tensor, output_gradients: Tensor) -> State:
    """The gradients of all parameters, by name, each ``[K, ...]``.

    Args:
        program: Of these networks.
        parameters: As `maps_and_statistics` took them.
        maps: As it returned them.
        statistics: The same.
        output_gradients: ``[K, N, n_outputs]``.
    """
    flat = torch.ops.gengap_cuda.backward(
        output_gradients, maps, statistics, weights(program, parameters), program.instructions, program.eps
    )
    parts = flat.split([parameters[name][0].numel() for name in program.parameters], dim=1)
    named = {name: part.view_as(parameters[name]) for name, part in zip(program.parameters, parts, strict=True)}
    return {name: named[name] for name in parameters}


def weights(program: Program, parameters: State) -> Tensor:
    """All parameters of every network one after another, ``[K, n_weights]``."""
    return torch.cat([parameters[name].flatten(1) for name in program.parameters], dim=1)


@torch.library.custom_op("gengap_cuda::forward", mutates_args=())
def _forward(
    images: Tensor, weights: Tensor, instructions: Sequence[int], size: int, n_features: int, eps: float
) -> tuple[Tensor, Tensor]:
    networks, samples, channels, height, width = images.shape
    maps = images.new_empty(networks, size, samples)
    own = maps[:, : channels * height * width].view(networks, height, width, channels, samples)
    own.copy_(images.permute(0, 3, 4, 2, 1))
    statistics = images.new_empty(networks, 2, n_features)
    _kernels().forward[(networks,)](
        maps, weights, statistics, samples, size, weights.shape[1], n_features, **_options(instructions, eps)
    )
    return maps, statistics


@_forward.register_fake
def _(
    images: Tensor, weights: Tensor, instructions: Sequence[int], size: int, n_features: int, eps: float
) -> tuple[Tensor, Tensor]:
    networks, samples = images.shape[:2]
    return images.new_empty(networks, size, samples), images.new_empty(networks, 2, n_features)


@torch.library.custom_op("gengap_cuda::backward", mutates_args=())
def _backward(
    output_gradients: Tensor, maps: Tensor, statistics: Tensor, weights: Tensor, instructions: Sequence[int], eps: float
) -> Tensor:
    networks, size, samples = maps.shape
    map_gradients = torch.empty_like(maps)
    map_gradients[:, size - output_gradients.shape[2] :].copy_(output_gradients.transpose(1, 2))
    result = torch.empty_like(weights)
    sizes = (samples, size, weights.shape[1], statistics.shape[2])
    _kernels().backward[(networks,)](
        maps, map_gradients, weights, result, statistics, *sizes, **_options(instructions, eps)
    )
    return result


@_backward.register_fake
def _(
    output_gradients: Tensor, maps: Tensor, statistics: Tensor, weights: Tensor, instructions: Sequence[int], eps: float
) -> Tensor:
    return torch.empty_like(weights)


def _options(instructions: Sequence[int], eps: float) -> dict[str, object]:
    """What a kernel is compiled for. Products and sums are fused, which Triton's next versions leave out by default."""
    known = {"EPS": eps, "PROGRAM": tuple(instructions), "LENGTH": len(instructions) // N_FIELDS, "BLOCK": _BLOCK}
    return {**known, "num_warps": _WARPS, "num_stages": 1, "enable_fp_fusion": True}


def _kernels() -> ModuleType:
    """Loaded when first asked for: PyTorch for processors alone comes without Triton."""
    from gengap.engine.cuda import kernels

    return kernels
