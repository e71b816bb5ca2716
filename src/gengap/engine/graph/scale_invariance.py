"""Which numbers may be multiplied into a network without changing what it computes, read off its graph."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from gengap.engine.graph.network_graph import UNTRACEABLE, is_batchnorm, module_of, trace
from gengap.engine.stack import Architecture
from gengap.errors import UserError

# f(c x) = c f(x) for every c > 0
_HOMOGENEOUS_MODULES = (nn.ReLU, nn.Identity, nn.Flatten, nn.Dropout, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_HOMOGENEOUS_FUNCTIONS: set[Any] = {torch.flatten, torch.mean, torch.relu, operator.getitem, nn.functional.pad}
_HOMOGENEOUS_METHODS = {"flatten", "mean", "view", "reshape"}
_SUMS: set[Any] = {operator.add, operator.iadd, torch.add}


@dataclass(frozen=True)
class Scales:
    """What a network's outputs do not depend on; see `gengap.inits.Drawn` for the fields."""

    layers: tuple[str, ...]
    scale_free: dict[str, tuple[str, ...]]
    output_norms: tuple[str, ...]


def scales(arch: Architecture) -> Scales:
    """Follow every layer's output to the BatchNorms that normalise it, and the last layer's input back to its own.

    Between a layer and its BatchNorm may lie ReLUs, pools and other operations that keep a positive factor.
    A sum may not: its other term would not be rescaled.

    Args:
        arch: The architecture.

    Raises:
        UserError: If its forward pass depends on its numbers, so that it has no graph.
    """
    try:
        graph = trace(arch.evaluation)
    except UNTRACEABLE as error:
        raise UserError(
            f"init.name: an init that balances gradients needs the model's graph, which could not be traced ({error}). "
            "Write its `forward` without branches on values and without `len`, or choose another init."
        ) from error
    layers = [node for node in graph.graph.nodes if str(node.target) in arch.layers and node.op == "call_module"]
    return Scales(
        layers=tuple(str(node.target) for node in layers),
        scale_free={str(node.target): norms for node in layers if (norms := _norms_after(node))},
        output_norms=tuple(_norms_before(layers[-1].all_input_nodes)),
    )


def _norms_after(node: fx.Node) -> tuple[str, ...]:
    """The BatchNorms that lie, before anything that is not homogeneous, on the ways on; none if a way has none."""
    norms: list[str] = []
    for user in node.users:
        if is_batchnorm(user):
            norms.append(str(user.target))
        elif _is_homogeneous(user) and (further := _norms_after(user)):
            norms += further
        else:
            return ()
    return tuple(norms)


def _norms_before(nodes: Iterable[fx.Node]) -> list[str]:
    """The BatchNorms whose outputs alone, through homogeneous steps and sums, make the values of some nodes."""
    norms: dict[str, None] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if is_batchnorm(node):
            norms[str(node.target)] = None
        elif _is_homogeneous(node) or _is_sum(node):
            waiting += node.all_input_nodes
        else:
            return []
    return list(norms)


def _is_sum(node: fx.Node) -> bool:
    """Whether a node adds other nodes' values, and no constant."""
    return node.op == "call_function" and node.target in _SUMS and len(node.all_input_nodes) == len(node.args)


def _is_homogeneous(node: fx.Node) -> bool:
    kinds = {"call_function": _HOMOGENEOUS_FUNCTIONS, "call_method": _HOMOGENEOUS_METHODS}
    return isinstance(module_of(node), _HOMOGENEOUS_MODULES) or node.target in kinds.get(node.op, set())
