"""The operators ``gengap::*`` of the kernels, with their shapes, their `vmap` and their derivatives.

Maps lie in memory with the batch last, ``[K, H, W, C, N]``. The functions here take and return one network's maps in
the usual order ``[N, C, H, W]``, as views, so that callers need not know.

`torch.library.register_autograd` cannot be used: its operators fail inside `torch.func.grad` (torch 2.15), while a
`torch.autograd.Function` with a rule for `vmap` works in both.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gengap.engine.cpu import library

SAMPLES = 16  # batches must be multiples of this: the lanes of the widest vectors


def supports(tensor: Tensor) -> bool:
    """Whether the kernels can take this tensor: float32 on the CPU, outside autocast, where they could be compiled."""
    return (
        tensor.device.type == "cpu"
        and tensor.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and available()
    )


def supports_batch(maps: Tensor, samples: int | None = None) -> bool:
    """Whether the kernels can take these maps ``[N, ...]`` in training, or batches of so many samples of them."""
    return (maps.shape[0] if samples is None else samples) % SAMPLES == 0 and supports(maps)


@functools.cache
def available() -> bool:
    """Whether the operators are loaded, which the first call does."""
    if not library.load():
        return False
    for name, shapes in _SHAPES.items():
        torch.library.register_fake(f"gengap::{name}", shapes)
    for name in _OF_PACKS:
        torch.library.register_vmap(f"gengap::{name}", functools.partial(_vmap, name))
    return True


def _vmap(name: str, info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
    """An operator of one network, mapped: the same operator with the networks in front."""

    def stacked(value: Any, dim: int | None) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)

    results = getattr(torch.ops.gengap, name)(*map(stacked, arguments, in_dims))
    return results, 0 if isinstance(results, Tensor) else (0,) * len(results)


# What the operators of packs return, for tracing: contiguous for any inputs. Sizes count from the end, since K
# may be absent.


def _new(like: Tensor) -> Tensor:
    return like.new_empty(like.shape)


def _gather_shapes(index: Tensor, images: Tensor, after: Tensor | None = None) -> Tensor:
    _, channels, height, width = images.shape
    return images.new_empty(index.shape[0], height, width, channels, index.shape[1])


def _conv2d_shapes(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int) -> Tensor:
    height, width = (
        (x.shape[dim] + 2 * padding - dilation * (weight.shape[kernel_dim] - 1) - 1) // stride + 1
        for dim, kernel_dim in ((-4, -2), (-3, -1))
    )
    return x.new_empty(*x.shape[:-4], height, width, weight.shape[-4], x.shape[-1])


def _backward_weight_shapes(y_gradient: Tensor, x: Tensor, weight: Tensor, *_: int) -> tuple[Tensor, Tensor]:
    return _new(weight), weight.new_empty(weight.shape[:-3])


def _forward_shapes(batches: Tensor, weights: Tensor, program: Any, size: int, n_features: int, eps: float) -> Any:
    networks, *image, samples = batches.shape
    maps = batches.new_empty(networks, size - math.prod(image), samples)
    return maps, batches.new_empty(networks, 2, n_features)


def _sparse_forward_shapes(images: Tensor, weights: Tensor, biases: Tensor, *_: Any) -> Tensor:
    return images.new_empty(weights.shape[0], images.shape[1], biases.shape[1], images.shape[3])


def _evaluate_shapes(images: Tensor, weights: Tensor, program: Any, buffer_size: int, n_outputs: int) -> Tensor:
    return images.new_empty(weights.shape[0], images.shape[0], n_outputs)


def _statistics_shapes(images: Tensor, weights: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    *_, n_outputs, n_features, _ = arguments
    networks = weights.shape[0]
    means, variances = (images.new_empty(networks, n_features) for _ in range(2))
    return means, variances, images.new_empty(networks, images.shape[0], n_outputs)


def _moments_shapes(images: Tensor, kernel_height: int, kernel_width: int, *_: int) -> Tensor:
    side = images.shape[1] * kernel_height * kernel_width + 1
    return images.new_empty(side, side, dtype=torch.float64)


_OF_PACKS: dict[str, Callable[..., Any]] = {
    "gather": _gather_shapes,
    "conv2d": _conv2d_shapes,
    "conv2d_backward_input": lambda y_gradient, x, weight, *_: _new(x),
    "conv2d_backward_weight": _backward_weight_shapes,
    "batch_norm": lambda x, weight, bias, eps: (_new(x), _new(weight), _new(weight)),
    "batch_norm_backward": lambda y_gradient, x, weight, *_: (_new(x), _new(weight), _new(weight)),
}
_SHAPES: dict[str, Callable[..., Any]] = {
    **_OF_PACKS,
    "train_forward": _forward_shapes,
    "train_backward": lambda output_gradients, batches, maps, statistics, weights, *_: _new(weights),
    "sparse_forward": _sparse_forward_shapes,
    "sparse_backward": lambda output_gradients, images, maps, weights, biases, *_: (_new(weights), _new(biases)),
    "evaluate": _evaluate_shapes,
    "exact_statistics": _statistics_shapes,
    "patch_moments": _moments_shapes,
}


class _Conv2d(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: int) -> Any:
        return torch.ops.gengap.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, weight, _, *ctx.geometry = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> Any:
        arguments = (y_gradient, *ctx.saved_tensors, *ctx.geometry)
        x_gradient = torch.ops.gengap.conv2d_backward_input(*arguments) if ctx.needs_input_grad[0] else None
        weight_gradient, bias_gradient = torch.ops.gengap.conv2d_backward_weight(*arguments)
        return x_gradient, weight_gradient, bias_gradient if ctx.needs_input_grad[2] else None, None, None, None


class _BatchNorm(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Any:
        return torch.ops.gengap.batch_norm(x, weight, bias, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, weight, _, ctx.eps = inputs
        _, *statistics = output
        ctx.mark_non_differentiable(*statistics)
        ctx.save_for_backward(x, weight, *statistics)

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor, *_: Any) -> Any:
        return *torch.ops.gengap.batch_norm_backward(y_gradient, *ctx.saved_tensors, ctx.eps), None


def gather(images: Tensor, index: Tensor, after: Tensor | None = None) -> Tensor:
    """``images[index]``, ``[K, N, C, H, W]``, with the batch last in memory.

    Args:
        images: ``[M, C, H, W]``, float32.
        index: Integers ``[K, N]``, N a multiple of `SAMPLES`.
        after: A result that is computed first, where a compiler chooses the order. Nothing is read of it.
    """
    batches: Tensor = torch.ops.gengap.gather(index, images, after)
    return batches.permute(0, 4, 3, 1, 2)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int) -> Tensor:
    """`torch.nn.functional.conv2d` of one network, where `supports_batch`.

    Differentiable once; `vmap` maps it over the networks of a pack.
    """
    y: Tensor = _Conv2d.apply(x.permute(2, 3, 1, 0), weight, bias, stride, padding, dilation)
    return y.permute(3, 2, 0, 1)


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm of one network by the batch's own statistics, where `supports_batch`.

    Differentiable once; `vmap` maps it over the networks of a pack.

    Args:
        x: ``[N, C, H, W]``.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: Added to the variance.

    Returns:
        The normalised maps, and mean and biased variance ``[C]``, through which no gradient flows.
    """
    y, mean, variance = _BatchNorm.apply(x.permute(2, 3, 1, 0), weight, bias, eps)
    return y.permute(3, 2, 0, 1), mean, variance
