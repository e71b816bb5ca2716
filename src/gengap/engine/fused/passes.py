"""Forward and backward pass of a pack's networks in one call each, on a CPU by C++ and on a GPU by Triton.

Forward, backward and nothing else: losses and optimisers are PyTorch's operators on what lies between and after.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

import torch
from torch import Tensor

from gengap.engine.cpu import operators
from gengap.engine.fused.program import N_FIELDS, Program
from gengap.engine.stack import State

_BLOCK = 128  # samples that a GPU reads together: a thread each
_WARPS = 4


def supports(program: Program, images: Tensor, samples: int) -> bool:
    """Whether the kernels can take batches of so many of these images; those of a GPU lack some layers."""
    return not program.of_cpu if images.is_cuda else operators.supports_batch(images, samples)


def joined(program: Program, tensors: State) -> Tensor:
    """All parameters of every network, or what is kept of each, one after another: ``[K, n_weights]``."""
    return torch.cat([tensors[name].flatten(1) for name in program.parameters], dim=1)


def apart(program: Program, flat: Tensor, shapes: Mapping[str, torch.Size]) -> State:
    """What `joined` has joined: views by name, in the order of `shapes`, which are those of one network."""
    parts = flat.split([shapes[name].numel() for name in program.parameters], dim=1)
    named = dict(zip(program.parameters, parts, strict=True))
    return {name: named[name].unflatten(1, shape) for name, shape in shapes.items()}


def forward(program: Program, weights: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
    """What a pack's forward pass computes.

    Args:
        program: Of these networks.
        weights: As `joined` gives them.
        batches: The images of every network ``[K, N, C, H, W]``; see `supports`.

    Returns:
        The maps ``[K, numbers, N]``, of which the last are the outputs, and mean and biased variance of every
        BatchNorm's features, ``[K, 2, n_features]``.
    """
    sizes = program.size, program.n_features, program.eps
    result: tuple[Tensor, Tensor]
    if _by_triton(batches):
        result = torch.ops.gengap_cuda.forward(batches, weights, program.instructions, *sizes)
    else:
        result = torch.ops.gengap.train_forward(_batch_last(batches), weights, program.text, *sizes)
    return result


def outputs(program: Program, maps: Tensor) -> Tensor:
    """The networks' outputs among their maps, ``[K, N, n_outputs]``."""
    return maps[:, -program.n_outputs :].transpose(1, 2)


def backward(
    program: Program, weights: Tensor, batches: Tensor, maps: Tensor, statistics: Tensor, output_gradients: Tensor
) -> Tensor:
    """The gradients of all weights, ``[K, n_weights]``.

    Args:
        program: Of these networks.
        weights: As `forward` took them.
        batches: The same.
        maps: As `forward` returned them.
        statistics: The same.
        output_gradients: ``[K, N, n_outputs]``.
    """
    result: Tensor
    if _by_triton(batches):
        arguments = output_gradients, maps, statistics, weights, program.instructions, program.eps
        result = torch.ops.gengap_cuda.backward(*arguments)
    else:
        known = _batch_last(batches), maps, statistics, weights, program.text, program.eps
        result = torch.ops.gengap.train_backward(output_gradients.transpose(1, 2), *known)
    return result


def _by_triton(batches: Tensor) -> bool:
    """Also for what the kernels of a CPU cannot take, for which Triton has an interpreter."""
    return not operators.supports_batch(batches, batches.shape[1])


def _batch_last(batches: Tensor) -> Tensor:
    """As the kernels of a CPU read images, ``[K, H, W, C, N]``."""
    return batches.permute(0, 3, 4, 2, 1)


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
