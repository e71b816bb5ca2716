"""Which weights enter a network's hidden nodes, and which read them: rows and columns of layers, read off its graph."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from gengap.engine.activations import activation_names
from gengap.engine.graph.network_graph import UNTRACEABLE, is_batchnorm, module_of, trace
from gengap.engine.stack import Architecture

# What a node's value passes on its way to the next layer, and keeps it apart from other nodes' values.
_PASSED = (nn.Identity, nn.Flatten, nn.Dropout, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_PASSED_CALLS: set[Any] = {torch.flatten, torch.mean, operator.getitem, nn.functional.pad, "flatten", "mean", "view"}
_SUMS: set[Any] = {operator.add, operator.iadd, torch.add}


@dataclass(frozen=True)
class NodeWeights:
    """Layers around one activation.

    Attributes:
        entering: Layers whose rows are the weights that enter its nodes, one row per node; several where outputs are
            added before the activation.
        leaving: Layers whose columns read its nodes, as many columns per node as its map has positions.
    """

    entering: tuple[str, ...]
    leaving: tuple[str, ...]


def node_weights(arch: Architecture) -> dict[str, NodeWeights]:
    """The layers around every activation, by its name, in the order in which they run.

    Raises:
        ValueError: If the network's forward pass depends on its numbers, so that it has no graph.
    """
    try:
        graph = trace(arch.evaluation).graph
    except UNTRACEABLE as error:
        raise ValueError(f"the network has no graph on which to find the weights around a node ({error})") from error
    names = activation_names(arch.evaluation)
    return {
        str(node.target): NodeWeights(_layers(node.all_input_nodes, arch, _before), _layers(node.users, arch, _after))
        for node in graph.nodes
        if node.op == "call_module" and str(node.target) in names
    }


def entering_norms(weights: NodeWeights, state: Mapping[str, Tensor]) -> Tensor:
    """Euclidean norm of what enters each node, its biases among it, ``[K, nodes]``, float64.

    Args:
        weights: The layers around the nodes.
        state: Stacked ``[K, ...]``: weights, or a gradient by their names.
    """
    parts = []
    for layer in weights.entering:
        parts.append(state[f"{layer}.weight"].double().flatten(2).square().sum(dim=2))
        if f"{layer}.bias" in state:
            parts.append(state[f"{layer}.bias"].double().square())
    return torch.stack(parts).sum(dim=0).sqrt()


def leaving_norms(weights: NodeWeights, state: Mapping[str, Tensor], nodes: int) -> Tensor:
    """Euclidean norm of the weights that read each node, its fan-out, ``[K, nodes]``, float64.

    Args:
        weights: The layers around the nodes.
        state: Stacked weights ``[K, ...]``.
        nodes: How many there are.

    Raises:
        ValueError: If no layer reads them.
    """
    if not weights.leaving:
        raise ValueError(f"no layer reads what {', '.join(weights.entering)} feed, so these nodes have no fan-out")
    parts = []
    for layer in weights.leaving:
        columns = state[f"{layer}.weight"].double()
        # Of a linear layer on a flattened map, the columns of one channel lie side by side.
        parts.append(columns.reshape(len(columns), columns.shape[1], nodes, -1).square().sum(dim=(1, 3)))
    return torch.stack(parts).sum(dim=0).sqrt()


def _before(node: fx.Node) -> Iterable[fx.Node]:
    summed = node.target in _SUMS and len(node.all_input_nodes) == len(node.args)
    return node.all_input_nodes if summed or is_batchnorm(node) else ()


def _after(node: fx.Node) -> Iterable[fx.Node]:
    passed = isinstance(module_of(node), _PASSED) or (node.op != "call_module" and node.target in _PASSED_CALLS)
    return node.users if passed or is_batchnorm(node) else ()


def _layers(
    nodes: Iterable[fx.Node], arch: Architecture, further: Callable[[fx.Node], Iterable[fx.Node]]
) -> tuple[str, ...]:
    """The layers with weights that are reached first from some nodes."""
    found: dict[str, None] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop(0)
        if node.op == "call_module" and str(node.target) in arch.layers:
            found[str(node.target)] = None
        else:
            waiting += further(node)
    return tuple(found)
