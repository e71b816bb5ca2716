"""A network made for evaluation: the same outputs as in evaluation mode, up to rounding, for a fraction of the time.

A BatchNorm with fixed statistics is a scale and a shift, and goes into the layer before it. The remaining layers of a
small network run on our C++ kernels on a CPU. Where these cannot run it, a convolution on a small map becomes a matrix:
one product with the flattened map (`gengap.engine.layers.convolution_matrix`).
"""

import copy
import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import vmap

from gengap.engine.cpu.program import Program, program
from gengap.engine.graph.network_graph import module_of, only_reader, shape, shaped
from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.layers.convolution_matrix import MatrixConv, convolution_matrix
from gengap.engine.stack import Architecture, State

# Elements of a map up to which the matrix pays although most of it is zeros.
_SMALL_MAP = 64


@dataclass(frozen=True)
class Inference:
    """The network for evaluation, and how it gets its weights.

    Attributes:
        network: On the meta device; runs on the state that `fold` gives.
        fold: From a stacked state of the architecture to the stacked state of `network`.
        largest_map: Elements of the largest output of a layer, per image.
        program: The same for our own kernels; None where they cannot run it.
        fold_for_program: From a stacked state of the architecture to the state that the program runs on.
    """

    network: nn.Module
    fold: Callable[[State], State]
    largest_map: int
    program: Program | None
    fold_for_program: Callable[[State], State]


@dataclass(frozen=True)
class _Layer:
    """One convolution or linear layer, what was folded into it, and the shapes of its maps."""

    name: str
    module: nn.Conv2d | nn.Linear
    norm: str
    norm_eps: float
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def as_matrix(self) -> bool:
        """Whether the matrix of a convolution is faster: where it multiplies less often, or its map is small."""
        conv = self.module
        if not isinstance(conv, nn.Conv2d) or not isinstance(conv.padding, tuple) or conv.padding_mode != "zeros":
            return False
        channels, height, width = self.input_shape
        return height * width <= conv.kernel_size[0] * conv.kernel_size[1] or channels * height * width <= _SMALL_MAP


@functools.lru_cache(maxsize=8)
def inference(arch: Architecture, image_shape: tuple[int, int, int]) -> Inference:
    """Make the network for evaluation.

    Args:
        arch: The architecture.
        image_shape: ``(channels, height, width)`` of one image.
    """
    traced = shaped(arch.evaluation, image_shape)
    if traced is None:
        return Inference(arch.evaluation, dict, _largest_map(arch.evaluation, image_shape), None, dict)
    traced = traced.to("meta")
    layers, largest_map = [], 1
    for node in traced.graph.nodes:  # without those that are cut out on the way
        module = module_of(node)
        if not isinstance(module, (nn.ReLU, nn.Conv2d, nn.Linear)):
            continue
        (read,) = node.all_input_nodes
        node.args, node.kwargs = (read,), {}  # also where it is called by keyword
        if isinstance(module, nn.ReLU):
            # Saves a pass over memory; what it overwrites must have no other reader, and be no view of something else.
            module.inplace = only_reader(read) is not None and _is_new(read)
            continue
        largest_map = max(largest_map, shape(node).numel())
        norm = _take_norm(traced, node)
        module.bias = nn.Parameter(torch.empty(module.weight.shape[0], device="meta"))
        layers.append(_Layer(str(node.target), module, *norm, tuple(shape(read)), tuple(shape(node))))
    made_program = program(traced)
    for layer in layers:
        if layer.as_matrix:
            traced.set_submodule(layer.name, MatrixConv(torch.Size(layer.input_shape).numel(), layer.output_shape))
    traced.graph.lint()
    traced.recompile()
    rest = {name: module.eps for name, module in traced.named_modules() if isinstance(module, FunctionalBatchNorm)}
    fold = functools.partial(_fold, tuple(layers), frozenset(traced.state_dict()))
    return Inference(traced, fold, largest_map, made_program, functools.partial(_fold_for_program, tuple(layers), rest))


def _largest_map(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Elements of the largest output of a module per image, found by running it on numbers that mean nothing."""
    network = copy.deepcopy(network).to_empty(device="cpu")
    sizes = [0]

    def see(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() // 2)

    for module in network.modules():
        module.register_forward_hook(see)
    for value in network.state_dict().values():
        value.zero_()
    with torch.no_grad():
        network(torch.zeros(2, *image_shape))
    return max(sizes)


def _is_new(node: fx.Node) -> bool:
    """Whether a node's value is new memory, not a view of another's, as of a flattened map."""
    if node.op == "call_module":
        return isinstance(module_of(node), (nn.Conv2d, nn.Linear, FunctionalBatchNorm))
    return node.op == "call_function" and node.target in (operator.add, torch.add)


def _take_norm(traced: fx.GraphModule, node: fx.Node) -> tuple[str, float]:
    """Cut out the BatchNorm that alone reads a layer's output; returns its name and eps, or an empty name."""
    reader = only_reader(node)
    norm = module_of(reader) if reader is not None else None
    if reader is None or not isinstance(norm, FunctionalBatchNorm):
        return "", 0.0
    reader.replace_all_uses_with(node)
    traced.graph.erase_node(reader)
    traced.delete_submodule(str(reader.target))
    return str(reader.target), norm.eps


def _normalised(constant: Tensor, state: State, norm: str, eps: float) -> tuple[Tensor, Tensor]:
    """The scale that a BatchNorm with fixed statistics gives each feature, and what it makes of a constant in it.

    The mean is subtracted first: scaled by itself, it would cancel digits where a layer's bias is large.
    """
    scale = torch.rsqrt(state[f"{norm}.running_var"] + eps)
    scale = scale * state.get(f"{norm}.weight", torch.ones_like(scale))
    return scale, (constant - state[f"{norm}.running_mean"]) * scale + state.get(f"{norm}.bias", 0.0)


def _folded(layer: _Layer, state: State) -> tuple[Tensor, Tensor]:
    """A layer's weights ``[K, ...]`` and bias ``[K, outputs]`` with its BatchNorm in them."""
    weight = state[f"{layer.name}.weight"]
    bias = state.get(f"{layer.name}.bias", weight.new_zeros(weight.shape[:2]))
    if layer.norm:
        scale, bias = _normalised(bias, state, layer.norm, layer.norm_eps)
        weight = weight * scale.reshape(*scale.shape, *[1] * (weight.dim() - 2))
    return weight, bias


def _fold(layers: tuple[_Layer, ...], names: frozenset[str], state: State) -> State:
    """The state of the network for evaluation, whose parameters and buffers have these names."""
    result = {name: value for name, value in state.items() if name in names}
    for layer in layers:
        weight, bias = _folded(layer, state)
        if layer.as_matrix:
            weight, bias = _matrix(layer, weight, bias)
        result[f"{layer.name}.weight"], result[f"{layer.name}.bias"] = weight, bias
    return result


def _fold_for_program(layers: tuple[_Layer, ...], norms: dict[str, float], state: State) -> State:
    """The state of the program: BatchNorms that could not be folded are a scale and a shift."""
    parts = {layer.name: _folded(layer, state) for layer in layers}
    for name, eps in norms.items():
        parts[name] = _normalised(torch.zeros_like(state[f"{name}.running_mean"]), state, name, eps)
    return {
        f"{name}.{kind}": part
        for name, both in parts.items()
        for kind, part in zip(("weight", "bias"), both, strict=True)
    }


def _matrix(layer: _Layer, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """A convolution's matrix ``[K, inputs, outputs]``, and its bias at every pixel."""
    assert isinstance(layer.module, nn.Conv2d)
    matrix = vmap(functools.partial(convolution_matrix, layer.module, layer.input_shape))(weight)
    n_pixels = matrix.shape[-2] * matrix.shape[-1]
    return matrix.flatten(2), bias.repeat_interleave(n_pixels, dim=1)
