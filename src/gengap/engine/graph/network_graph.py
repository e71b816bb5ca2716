"""The graph of a network: which layers run in which order, what reads their outputs, and all of it traced.

Order and readers are found by running the network once without numbers, which every network can do. `torch.fx` traces
every operation, of networks whose forward pass does not depend on numbers.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.layers.layernorm import ElementaryLayerNorm
from gengap.engine.layers.modules import run_without_numbers
from gengap.engine.stack import Architecture

Parts = dict[str, tuple[str, ...]]
# What tracing raises where the forward pass depends on its numbers; the last where it calls `len`.
UNTRACEABLE = (fx.proxy.TraceError, TypeError, RuntimeError)


@dataclass(frozen=True)
class Call:
    """One run of a module that has parameters or buffers of its own.

    Attributes:
        name: The module's.
        is_layer: Whether it is a convolution or a linear layer.
        reads: The layer whose output it reads as it is; empty if it reads something else.
    """

    name: str
    is_layer: bool
    reads: str


def calls(arch: Architecture, image_shape: tuple[int, ...]) -> list[Call]:
    """The modules with parameters or buffers of their own, in the order in which they run.

    Args:
        arch: The architecture; its modules are on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.
    """
    network = copy.deepcopy(arch.evaluation)
    outputs: dict[int, tuple[str, Tensor]] = {}  # keeps them alive, or another tensor could get the same id
    order: list[Call] = []

    def runs(name: str, x: Tensor) -> None:
        order.append(Call(name, name in arch.layers, outputs[id(x)][0] if id(x) in outputs else ""))

    def ran(name: str, output: Tensor) -> None:
        outputs[id(output)] = name, output

    for name, module in network.named_modules():
        if name in arch.layers:
            module.register_forward_hook(lambda _, __, output, name=name: ran(name, output))
        if name in arch.layers or _own_tensors(name, module):
            module.register_forward_pre_hook(lambda _, inputs, name=name: runs(name, inputs[0]))
    run_without_numbers(network, image_shape)
    return order


def norms_after(arch: Architecture, image_shape: tuple[int, ...]) -> dict[str, str]:
    """The BatchNorm that reads each layer's output as it is, by layer; layers without one are left out.

    Args:
        arch: The architecture.
        image_shape: ``(channels, height, width)`` of one image.
    """
    return {
        call.reads: call.name
        for call in calls(arch, image_shape)
        if call.reads and isinstance(arch.evaluation.get_submodule(call.name), FunctionalBatchNorm)
    }


def layer_parts(arch: Architecture, image_shape: tuple[int, ...]) -> Parts:
    """The parameters and buffers that make up each layer, layers in the order in which they run.

    A layer is a convolution or a linear layer with its bias, together with the BatchNorm that normalises its output.
    A BatchNorm that normalises something else, such as a sum of two branches, goes with the layer that ran last
    before it, or with the first layer if none did; so does any other module with parameters. Every tensor of the
    network therefore belongs to exactly one layer.

    Args:
        arch: The architecture.
        image_shape: ``(channels, height, width)`` of one image.

    Returns:
        By layer the names of its tensors in a state: weight and bias, then BatchNorm's scale, shift and statistics.
    """
    order = calls(arch, image_shape)
    layers = [call.name for call in order if call.is_layer]
    owners: dict[str, str] = {}
    last = layers[0]
    for call in order:
        if call.is_layer:
            last = call.name
        else:
            owners[call.name] = call.reads or last
    parts = {name: _own_tensors(name, arch.evaluation.get_submodule(name)) for name in layers}
    for name, layer in owners.items():
        parts[layer] += _own_tensors(name, arch.evaluation.get_submodule(name))
    return parts


def _own_tensors(name: str, module: nn.Module) -> tuple[str, ...]:
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return tuple(f"{name}.{key}" if name else key for key, _ in own)


class _Tracer(fx.Tracer):
    """Stops at BatchNorm and LayerNorm as at torch's own modules."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (FunctionalBatchNorm, ElementaryLayerNorm)) or super().is_leaf_module(module, name)


def trace(network: nn.Module) -> fx.GraphModule:
    """The operations of a converted module, a copy; one of `UNTRACEABLE` where they depend on its numbers."""
    network = copy.deepcopy(network)
    return fx.GraphModule(network, _Tracer().trace(network))


def shaped(network: nn.Module, image_shape: tuple[int, int, int]) -> fx.GraphModule | None:
    """The operations of a converted module with the shapes of their values; the numbers are any.

    None where they depend on numbers, or it takes more than images, or runs a layer with weights twice.
    """
    try:
        traced = trace(network)
    except UNTRACEABLE:
        return None
    called = [str(node.target) for node in traced.graph.nodes if node.op == "call_module"]
    with_numbers = [name for name in called if traced.get_submodule(name).state_dict()]
    given = [node for node in traced.graph.nodes if node.op == "placeholder"]
    if len(set(with_numbers)) < len(with_numbers) or len(given) > 1:
        return None
    # On the CPU with arbitrary numbers: the meta device takes two seconds to wake, once in every process.
    ShapeProp(traced.to_empty(device="cpu")).propagate(torch.zeros(2, *image_shape))
    return traced


def shape(node: fx.Node) -> torch.Size:
    """Shape of one image's part of a node's value, in a graph from `shaped`."""
    size: torch.Size = node.meta["tensor_meta"].shape[1:]
    return size


def module_of(node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    network = node.graph.owning_module
    return network.get_submodule(str(node.target)) if network is not None and node.op == "call_module" else None


def is_batchnorm(node: fx.Node) -> bool:
    """Whether a node is a BatchNorm."""
    return isinstance(module_of(node), FunctionalBatchNorm)


def only_reader(node: fx.Node) -> fx.Node | None:
    """The node that alone reads a node's value; None if there are several, or none."""
    return next(iter(node.users)) if len(node.users) == 1 else None
