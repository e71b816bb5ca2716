"""Exact BatchNorm statistics of a large training set in one pass: all images go through a layer, then through the next.

`exact_batchnorm_streaming` begins again with the images for every layer, which for L layers costs about L / 2 passes.
Where the memory holds the maps of all images between two layers (13 GB for VGG-16 on CIFAR, of a GPU's 80), one pass is
enough: a BatchNorm layer sees all of its inputs before it passes any on. Batches, operations and sums are the same, so
the numbers are too. The outputs come with it.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.func import functional_call

from gengap.engine.evaluation import exact_batchnorm_streaming
from gengap.engine.evaluation.exact_batchnorm_streaming import Moments
from gengap.engine.graph.network_graph import is_batchnorm, shape, shaped
from gengap.engine.stack import Architecture, State, n_networks, network_state, stacked

_SHARE = 2  # the maps that are held may take one part in so many of a GPU's memory

Batches = list[Any]  # a node's value for every batch of images; freed values are None


def fits(arch: Architecture, images: Tensor) -> bool:
    """Whether the maps of all images between two layers fit: a function of sizes and device only; never on a CPU."""
    if images.device.type != "cuda":
        return False
    memory = torch.cuda.get_device_properties(images.device).total_memory
    elements = held_elements(arch, (images.shape[1], images.shape[2], images.shape[3]))
    return elements is not None and elements * len(images) * images.element_size() * _SHARE <= memory


@functools.lru_cache(maxsize=8)
def held_elements(arch: Architecture, image_shape: tuple[int, int, int]) -> int | None:
    """The most elements of one image's maps that are held at a time; None if the operations cannot be traced.

    Args:
        arch: The architecture.
        image_shape: ``(channels, height, width)`` of one image.
    """
    traced = shaped(arch.evaluation, image_shape)
    if traced is None:
        return None
    dying, held, most = _last_read(traced), 0, 0
    for node in traced.graph.nodes:
        if node.op == "output" or "tensor_meta" not in node.meta:
            continue
        held += shape(node).numel()
        most = max(most, held)
        held -= sum(shape(read).numel() for read in dying[node])
    return most


@torch.no_grad()
def one_pass(arch: Architecture, state: State, images: Tensor) -> tuple[State, Tensor]:
    """BatchNorm means and biased variances of every layer over all images, and the outputs with these statistics.

    Args:
        arch: The architecture; its operations can be traced.
        state: Stacked state ``[K, ...]``.
        images: ``[N, C, H, W]``.

    Returns:
        The buffers ``[K, features]``, bit by bit those of `exact_batchnorm_streaming`, and the outputs
        ``[K, N, n_outputs]``.
    """
    traced = shaped(arch.evaluation, (images.shape[1], images.shape[2], images.shape[3]))
    if traced is None:
        raise ValueError("the network's operations depend on its numbers, so they cannot be taken one by one")
    found = [_of_one(arch, traced, network_state(state, place), images) for place in range(n_networks(state))]
    return stacked([buffers for buffers, _ in found]), torch.stack([outputs for _, outputs in found])


def _of_one(arch: Architecture, traced: fx.GraphModule, state: State, images: Tensor) -> tuple[State, Tensor]:
    """The buffers and the outputs of ONE network."""
    state, dying = dict(state), _last_read(traced)
    values: dict[fx.Node, Batches] = {}
    for node in traced.graph.nodes:
        if node.op == "output":
            return {name: state[name] for name in arch.buffers}, torch.cat(values[node.args[0]])
        if node.op == "placeholder":
            values[node] = list(images.split(exact_batchnorm_streaming.BATCH_SIZE))
            continue
        if is_batchnorm(node):
            _take_statistics(str(node.target), state, values[node.all_input_nodes[0]])
        run, values[node] = _function(traced, node, state), []
        for number in range(len(next(iter(values.values())))):
            given = functools.partial(_value, values, number)
            values[node].append(run(*fx.map_arg(node.args, given), **fx.map_arg(node.kwargs, given)))
            for read in dying[node]:
                values[read][number] = None
    raise AssertionError("a traced graph ends with its output")


def _value(values: dict[fx.Node, Batches], number: int, node: fx.Node) -> Any:
    return values[node][number]


def _take_statistics(name: str, state: State, inputs: Batches) -> None:
    """Put the statistics of all of a BatchNorm layer's inputs into the state."""
    total = Moments.of(inputs[0])
    for batch in inputs[1:]:
        total.add(Moments.of(batch))
    dtype = state[f"{name}.running_var"].dtype
    state[f"{name}.running_mean"] = total.mean.to(dtype)
    state[f"{name}.running_var"] = (total.squares / total.count).to(dtype)


def _function(traced: fx.GraphModule, node: fx.Node, state: State) -> Callable[..., Any]:
    """What a node does to its arguments."""
    target = str(node.target)
    if node.op == "call_module":
        module, prefix = traced.get_submodule(target), f"{target}."
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        return lambda *args, **kwargs: functional_call(module, own, args, kwargs)
    if node.op == "call_method":
        return lambda self, *args, **kwargs: getattr(self, target)(*args, **kwargs)
    if node.op == "get_attr":
        return lambda: state[target]
    assert callable(node.target)
    return node.target


def _last_read(traced: fx.GraphModule) -> dict[fx.Node, list[fx.Node]]:
    """For every node, the nodes whose values it is the last to read."""
    last: dict[fx.Node, fx.Node] = {}
    for node in traced.graph.nodes:
        for read in node.all_input_nodes:
            last[read] = node
    dying: dict[fx.Node, list[fx.Node]] = {node: [] for node in traced.graph.nodes}
    for read, node in last.items():
        dying[node].append(read)
    return dying
