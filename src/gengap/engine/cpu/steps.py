"""What the kernels for evaluation can do, recognised in a traced network: one step per node."""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import TensorMetadata

from gengap.engine.layers.batchnorm import FunctionalBatchNorm

POINT = (1, 1, 1, 0, 1)  # kernel height and width, stride, padding, dilation


@dataclass
class Map:
    """A value of the network, and where it lies.

    Attributes:
        shape: Channels, height and width.
        offset: In the buffer of the passes that compute it; 0 is the images.
        kept_offset: In what is kept for later passes, as a negative number, if they read it.
        last_pass: The last pass that computes it.
    """

    shape: tuple[int, int, int]
    offset: int = 0
    kept_offset: int | None = None
    last_pass: int = 0

    @property
    def size(self) -> int:
        """Numbers per image."""
        channels, height, width = self.shape
        return channels * height * width

    def offset_in(self, pass_number: int) -> int:
        """Where a pass finds it."""
        return self.offset if self.kept_offset is None or pass_number <= self.last_pass else self.kept_offset


@dataclass
class Step:
    """What one node does.

    Attributes:
        kind: One of `program.KINDS`; or ``image`` or ``same``, which compute nothing.
        inputs: The nodes that it reads.
        output: What it computes.
        geometry: As `POINT`.
        n_weights: How many of a network's weights are its own.
        relu: Whether negative numbers become 0.
        pass_number: The pass it runs in.
        measured_in: The pass that measures what it reads, if it is a normalisation.
        known: Whether the statistics of what it reads follow from the patches of the images.
        again: Later passes in which it runs once more.
        pool: The pool that alone reads what it computes, where they run in turn on some channels at a time.
    """

    kind: str
    inputs: list[fx.Node]
    output: Map
    geometry: tuple[int, ...] = POINT
    n_weights: int = 0
    relu: bool = False
    pass_number: int = 0
    measured_in: int = -1
    known: bool = False
    again: tuple[int, ...] = ()
    pool: "Step | None" = None


Steps = dict[fx.Node, Step]


def step_of(node: fx.Node, module: nn.Module | None, steps: Steps) -> Step | None:
    """The step of a node, given its inputs' in `steps`; None if the kernels cannot do it.

    Args:
        node: With the shape of its value (`ShapeProp`).
        module: Of a ``call_module``.
        steps: Those of the nodes before it. A ReLU may become part of one of them.
    """
    if not isinstance(node.meta.get("tensor_meta"), TensorMetadata):
        return None
    if node.op == "placeholder":
        return Step("image", [], Map(_map_shape(node)))
    inputs = [argument for argument in node.args if isinstance(argument, fx.Node)]
    if not inputs:
        return None
    first = steps[inputs[0]].output
    if _averages(node, module):
        return Step("average_pool", inputs, Map(_map_shape(node)), (*first.shape[1:], 1, 0, 1))
    if _pads_channels(node):
        return Step("pad", inputs, Map(_map_shape(node)))
    if node.kwargs:
        return None
    if _passes_on(node, module):
        return Step("same", inputs, first)
    if isinstance(module, nn.ReLU):
        return _relu(inputs, steps)
    output = Map(_map_shape(node))
    if isinstance(module, FunctionalBatchNorm) and output.shape == first.shape:
        return Step("scale", inputs, output, n_weights=2 * output.shape[0])
    if isinstance(module, nn.Linear) and len(inputs[0].meta["tensor_meta"].shape) == 2:
        # A kernel as large as the map: its weights are in the order in which maps are flattened, channel by channel.
        return Step("convolve", inputs, output, (*first.shape[1:], 1, 0, 1), (module.in_features + 1) * output.shape[0])
    if isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros" and _square(module):
        return Step("convolve", inputs, output, _geometry(module), module.weight.numel() + output.shape[0])
    if isinstance(module, nn.MaxPool2d) and not module.ceil_mode and not module.padding and _square(module):
        return Step("max_pool", inputs, output, _geometry(module))
    if isinstance(module, nn.AvgPool2d) and _whole(module):
        return Step("average_pool", inputs, output, _geometry(module))
    if stride := _subsampled(node):
        return Step("average_pool", inputs, output, (1, 1, stride, 0, 1))  # the means of single pixels
    adds = node.op == "call_function" and node.target in (operator.add, torch.add)
    if adds and len(inputs) == len(node.args) == 2 and first.shape == steps[inputs[1]].output.shape == output.shape:
        return Step("add", inputs, output)
    return None


def _relu(inputs: list[fx.Node], steps: Steps) -> Step:
    """Part of the step before, if nothing else reads what that computes."""
    (read,) = inputs
    before = steps[read]
    if len(read.users) == 1 and before.kind not in ("image", "same"):
        before.relu = True
        return Step("same", inputs, before.output)
    return Step("copy", inputs, Map(before.output.shape), relu=True)


def _passes_on(node: fx.Node, module: nn.Module | None) -> bool:
    if isinstance(module, nn.Flatten):
        return module.start_dim == 1 and module.end_dim == -1
    flattens = node.op == "call_method" and node.target == "flatten" and node.args[1:] == (1,)
    return flattens or node.op == "output" or isinstance(module, (nn.Identity, nn.Dropout))


def _averages(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether it is the mean of every channel of a map."""
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return module.output_size in (1, (1, 1))
    mean = node.op == "call_function" and node.target is torch.mean
    return mean and not node.args[1:] and dict(node.kwargs) in ({"dim": (2, 3)}, {"dim": [2, 3]})


def _subsampled(node: fx.Node) -> int:
    """The n of every n-th pixel of a map both ways, `map[:, :, ::n, ::n]`; 0 if it is something else."""
    if node.op != "call_function" or node.target is not operator.getitem or len(node.meta["tensor_meta"].shape) != 4:
        return 0
    taken: Any = node.args[1]
    stride: Any = getattr(taken[-1], "step", None) if isinstance(taken, tuple) and taken else None
    every = slice(None, None, stride)
    return stride if isinstance(stride, int) and taken == (slice(None), slice(None), every, every) else 0


def _pads_channels(node: fx.Node) -> bool:
    """Whether it adds channels of zeros to a map, as many before as after or one fewer."""
    if node.op != "call_function" or node.target is not nn.functional.pad or len(node.args) != 2:
        return False
    if dict(node.kwargs) not in ({}, {"mode": "constant", "value": None}):
        return False
    sizes: Any = node.args[1]
    if not isinstance(sizes, (tuple, list)) or not all(isinstance(size, int) for size in sizes):
        return False
    return list(sizes[:4]) == [0] * 4 and len(sizes) == 6 and 0 <= sizes[5] - sizes[4] <= 1 and sizes[4] >= 0


def _map_shape(node: fx.Node) -> tuple[int, int, int]:
    channels, height, width = (*node.meta["tensor_meta"].shape[1:], 1, 1)[:3]
    return channels, height, width


def _whole(pool: nn.AvgPool2d) -> bool:
    """Whether all windows of a pool lie in the map."""
    return not pool.ceil_mode and pool.padding in (0, (0, 0)) and pool.divisor_override is None and _square(pool)


def _pairs(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) -> list[Any]:
    """Kernel size, stride, padding and dilation, each down and across."""
    values = (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
    return [(value, value) if isinstance(value, int) else value for value in values]


def _square(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) -> bool:
    """Whether stride, padding and dilation are the same both ways."""
    return all(isinstance(pair, tuple) and len(set(pair)) == 1 for pair in _pairs(layer)[1:])


def _geometry(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) -> tuple[int, ...]:
    kernel, *others = _pairs(layer)
    return (*kernel, *(pair[0] for pair in others))
