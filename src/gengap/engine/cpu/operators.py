"""The kernels of `pack.cpp` as torch operators, with their derivatives.

Maps lie in memory with the samples innermost, ``[K, H, W, C, N]``. The functions here take and give one network's maps
in the usual order ``[N, C, H, W]``, as views of that, so that who calls them need not know.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gengap.engine.cpu.library import call, runs

SAMPLES = 16  # batches must be multiples of this: the lanes of the widest vectors


def fits(maps: Tensor, samples: int | None = None) -> bool:
    """Whether the kernels can take these maps ``[N, ...]``, or batches of so many samples of them."""
    return (maps.shape[0] if samples is None else samples) % SAMPLES == 0 and runs(maps)


_operators = torch.library.Library("gengap", "DEF")


def _operator(schema: str, empty: Callable[..., Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a torch operator of a function that fills its first argument from the others, contiguous tensors.

    The function's tensors are of a pack, ``[K, ...]``; the operator also takes those of one network, without K, and
    `vmap` adds it. Views in between would make Inductor copy maps.

    Args:
        schema: In torch's language.
        empty: Gives the first argument, new, of the others.
    """

    def register(fill: Callable[..., None]) -> Any:
        name = schema.partition("(")[0]
        # Inductor then writes maps as the kernels read them, and nothing has to be copied.
        _operators.define(schema, tags=(torch.Tag.needs_exact_strides,))
        operator = getattr(torch.ops.gengap, name).default

        def new(*arguments: Any) -> Any:
            return _per_pack(empty, arguments)

        def run(*arguments: Any) -> Any:
            def filled(*contiguous: Any) -> Any:
                results = empty(*contiguous)
                fill(results, *contiguous)
                return results

            return _per_pack(filled, tuple(one.contiguous() if isinstance(one, Tensor) else one for one in arguments))

        def mapped(info: Any, in_dims: Sequence[int | None], *arguments: Any) -> tuple[Any, Any]:
            def stacked(value: Any, dim: int | None) -> Any:
                if not isinstance(value, Tensor):
                    return value
                return value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)

            results = operator(*map(stacked, arguments, in_dims))
            return results, 0 if isinstance(results, Tensor) else (0,) * len(results)

        _operators.impl(name, run, "CPU")
        torch.library.register_fake(f"gengap::{name}", new, lib=_operators)
        torch.library.register_vmap(f"gengap::{name}", mapped, lib=_operators)
        return operator

    return register


def _per_pack(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call a function of a pack, also on one network's map ``[H, W, C, N]`` and what belongs to it."""
    if arguments[0].dim() != 4:
        return function(*arguments)
    results = function(*(one[None] if isinstance(one, Tensor) else one for one in arguments))
    return results[0] if isinstance(results, Tensor) else tuple(one[0] for one in results)


def _empty_gathered(index: Tensor, images: Tensor) -> Tensor:
    _, channels, height, width = images.shape
    return images.new_empty(index.shape[0], height, width, channels, index.shape[1])


@_operator("gather(Tensor index, Tensor images) -> Tensor", _empty_gathered)
def _gather(gathered: Tensor, index: Tensor, images: Tensor) -> None:
    call("gengap_gather", images, index, gathered, (*index.shape, images.shape[1], images[0, 0].numel()))


def _sizes(x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> tuple[int, ...]:
    """The struct `Shape` of `pack.cpp`."""
    return (*x.shape, *weight.shape[1:2], *weight.shape[3:], stride, padding, dilation)


def _empty_conv(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int) -> Tensor:
    height, width = (
        (x.shape[at] + 2 * padding - dilation * (weight.shape[at + 2] - 1) - 1) // stride + 1 for at in (1, 2)
    )
    return x.new_empty(x.shape[0], height, width, weight.shape[1], x.shape[-1])


@_operator("conv(Tensor x, Tensor weight, Tensor? bias, int stride, int padding, int dilation) -> Tensor", _empty_conv)
def _conv(y: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: int) -> None:
    call("gengap_conv", x, weight, bias, y, _sizes(x, weight, *geometry))


def _new(like: Tensor) -> Tensor:
    return like.new_empty(like.shape)  # contiguous, whatever the other is


@_operator(
    "conv_input(Tensor gradient, Tensor x, Tensor weight, int stride, int padding, int dilation) -> Tensor",
    lambda gradient, x, weight, *geometry: _new(x),
)
def _conv_input(result: Tensor, gradient: Tensor, x: Tensor, weight: Tensor, *geometry: int) -> None:
    call("gengap_conv_input", gradient, weight, result, _sizes(x, weight, *geometry))


@_operator(
    "conv_weight(Tensor gradient, Tensor x, Tensor weight, int stride, int padding, int dilation) -> (Tensor, Tensor)",
    lambda gradient, x, weight, *geometry: (_new(weight), weight.new_empty(weight.shape[:2])),
)
def _conv_weight(results: tuple[Tensor, Tensor], gradient: Tensor, x: Tensor, weight: Tensor, *geometry: int) -> None:
    call("gengap_conv_weight", gradient, x, *results, _sizes(x, weight, *geometry))


@_operator(
    "normalise(Tensor x, Tensor scale, Tensor shift, float eps) -> (Tensor, Tensor, Tensor)",
    lambda x, scale, shift, eps: (_new(x), _new(scale), _new(scale)),
)
def _normalise(results: tuple[Tensor, ...], x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> None:
    call("gengap_normalise", x, scale, shift, *results, eps, tuple(x.shape))


@_operator(
    "normalise_gradient(Tensor gradient, Tensor x, Tensor scale, Tensor mean, Tensor variance, float eps)"
    " -> (Tensor, Tensor, Tensor)",
    lambda gradient, x, scale, *_: (_new(x), _new(scale), _new(scale)),
)
def _normalise_gradient(results: tuple[Tensor, ...], *arguments: Any) -> None:
    *tensors, eps = arguments
    call("gengap_normalise_gradient", *tensors, *results, eps, tuple(tensors[1].shape))


class _Conv(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, *geometry: int) -> Any:
        return _conv(x, weight, bias, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, weight, _, *ctx.geometry = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        arguments = (gradient, *ctx.saved_tensors, *ctx.geometry)
        of_input = _conv_input(*arguments) if ctx.needs_input_grad[0] else None
        of_weight, of_bias = _conv_weight(*arguments)
        return of_input, of_weight, of_bias if ctx.needs_input_grad[2] else None, None, None, None


class _Normalise(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Any:
        return _normalise(x, scale, shift, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        x, scale, _, ctx.eps = inputs
        _, *statistics = output
        ctx.mark_non_differentiable(*statistics)
        ctx.save_for_backward(x, scale, *statistics)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> Any:
        return *_normalise_gradient(gradient, *ctx.saved_tensors, ctx.eps), None


def gather(images: Tensor, index: Tensor) -> Tensor:
    """``images[index]``, ``[K, N, C, H, W]``, with the samples innermost in memory.

    Args:
        images: ``[M, C, H, W]``, float32.
        index: Integers ``[K, N]``, N a multiple of `SAMPLES`.
    """
    gathered: Tensor = _gather(index, images)
    return gathered.permute(0, 4, 3, 1, 2)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int, dilation: int) -> Tensor:
    """`torch.nn.functional.conv2d` of one network, where `fits`; differentiable once, and mapped over packs."""
    y: Tensor = _Conv.apply(x.permute(2, 3, 1, 0), weight, bias, stride, padding, dilation)
    return y.permute(3, 2, 0, 1)


def normalise(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm of one network by the batch's own statistics, where `fits`; differentiable once, and mapped over packs.

    Args:
        x: ``[N, C, H, W]``.
        scale: ``[C]``.
        shift: ``[C]``.
        eps: Added to the variance.

    Returns:
        The normalised maps, and mean and biased variance ``[C]``, through which no gradient flows.
    """
    y, mean, variance = _Normalise.apply(x.permute(2, 3, 1, 0), scale, shift, eps)
    return y.permute(3, 2, 0, 1), mean, variance
