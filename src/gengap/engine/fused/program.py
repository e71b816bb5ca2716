"""A network's training step as instructions of the kernels, from the same steps as those of evaluation on a CPU."""

import functools
from dataclasses import astuple, dataclass, fields, replace

from torch import fx, nn

from gengap.engine.cpu.steps import Map, Step, Steps, step_of
from gengap.engine.layers.batchnorm import FunctionalBatchNorm

KINDS = ("convolve", "add", "scale", "max_pool", "average_pool", "pad")
_OF_CPU = ("max_pool", "average_pool", "pad")  # the kernels of a GPU lack them


@dataclass(frozen=True)
class Instruction:
    """What a kernel does; the order of the fields is known to `cuda/kernels.py` and `cpu/kernels/kernels.h`.

    Offsets are in numbers per sample.

    Attributes:
        kind: Index in `KINDS`.
        read: Where the map that it reads begins; 0 is the images.
        other: The second map of a sum.
        written: Where the map that it writes begins.
        relu: Whether negative numbers become 0.
        weight: Where its weights, or a BatchNorm's scale, begin in those of a network.
        bias: The same of its bias or shift; -1: it has none.
        norm: Where its features begin among those of all BatchNorms.
        height: Of the map that it reads.
        width: The same.
        channels: The same.
        out: Channels that it writes.
        kernel_height: Taps.
        kernel_width: Taps.
        stride: Pixels.
        padding: Pixels.
        dilation: Pixels.
        added: Backward, whether a later instruction has written a gradient of the map that it reads.
        other_added: The same of the second map.
        size: Numbers of the map that it writes.
    """

    kind: int
    read: int
    other: int
    written: int
    relu: bool
    weight: int
    bias: int
    norm: int
    height: int
    width: int
    channels: int
    out: int
    kernel_height: int
    kernel_width: int
    stride: int
    padding: int
    dilation: int
    added: bool
    other_added: bool
    size: int


N_FIELDS = len(fields(Instruction))


@dataclass(frozen=True)
class Program:
    """Instructions in the order of the forward pass.

    Attributes:
        instructions: Each as numbers, one after another.
        parameters: Names, in the order in which they follow one another in a network's weights.
        norms: Names of the BatchNorms, in the order of their features.
        norm_pixels: Pixels of the map that each of them normalises.
        size: Numbers of all maps of one sample, the images first.
        n_weights: Numbers of one network's parameters.
        n_features: Of all BatchNorms.
        n_outputs: Numbers of the last map, which is that of the outputs.
        of_cpu: Whether the kernels of a GPU lack any instruction.
        eps: Added to every variance.
    """

    instructions: tuple[int, ...]
    parameters: tuple[str, ...]
    norms: tuple[str, ...]
    norm_pixels: tuple[int, ...]
    size: int
    n_weights: int
    n_features: int
    n_outputs: int
    of_cpu: bool
    eps: float

    @functools.cached_property
    def text(self) -> str:
        """The instructions' numbers with spaces between them, as the operators of a CPU take them."""
        return " ".join(map(str, self.instructions))


def program(traced: fx.GraphModule) -> Program | None:
    """The instructions of a traced network; None if the kernels lack one of its steps.

    Args:
        traced: In training mode, with BatchNorm from the batch; its nodes carry the shapes of their values.
    """
    modules = dict(traced.named_modules())
    steps: Steps = {}
    for node in traced.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        step = step_of(node, module, steps)
        if step is None or step.kind not in (*KINDS, "image", "same") or not _trains(module):
            return None
        steps[node] = step
    working = [(node, step) for node, step in steps.items() if step.kind in KINDS]
    eps = {module.eps for module in modules.values() if isinstance(module, FunctionalBatchNorm)}
    if not working or len(eps) > 1 or working[-1][1].output is not next(reversed(steps.values())).output:
        return None
    read = {id(steps[node].output) for _, step in working for node in step.inputs}
    if any(id(step.output) not in read for _, step in working[:-1]):
        return None  # a map that nothing reads has no gradient
    size = next(step.output.size for step in steps.values() if step.kind == "image")
    for _, step in working:
        step.output.offset, size = size, size + step.output.size
    instructions, parameters, norms, norm_pixels, n_weights, n_features = [], [], [], [], 0, 0
    for node, step in working:
        module = modules.get(str(node.target))
        weight, bias, norm = n_weights, -1, n_features
        for name, parameter in module.named_parameters() if module is not None else ():
            if name == "bias":
                bias = n_weights
            parameters.append(f"{node.target}.{name}")
            n_weights += parameter.numel()
        if step.kind == "scale":
            norms.append(str(node.target))
            channels, height, width = step.output.shape
            norm_pixels.append(height * width)
            n_features += channels
        instructions.append(_instruction(step, [steps[read].output for read in step.inputs], weight, bias, norm))
    return Program(
        instructions=tuple(int(number) for each in _accumulating(instructions) for number in astuple(each)),
        parameters=tuple(parameters),
        norms=tuple(norms),
        norm_pixels=tuple(norm_pixels),
        size=size,
        n_weights=n_weights,
        n_features=n_features,
        n_outputs=working[-1][1].output.size,
        of_cpu=any(step.kind in _OF_CPU for _, step in working),
        eps=eps.pop() if eps else 0.0,
    )


def _trains(module: nn.Module | None) -> bool:
    """Whether what evaluation does is what training does; BatchNorm must take its statistics from the batch."""
    if isinstance(module, FunctionalBatchNorm):
        return module.training and module.affine
    return not isinstance(module, nn.Dropout) or module.p == 0


def _instruction(step: Step, read: list[Map], weight: int, bias: int, norm: int) -> Instruction:
    channels, height, width = read[0].shape
    kernel_height, kernel_width, stride, padding, dilation = step.geometry
    return Instruction(
        kind=KINDS.index(step.kind),
        read=read[0].offset,
        other=read[-1].offset,
        written=step.output.offset,
        relu=step.relu,
        weight=weight,
        bias=bias,
        norm=norm,
        height=height,
        width=width,
        channels=channels,
        out=step.output.shape[0],
        kernel_height=kernel_height,
        kernel_width=kernel_width,
        stride=stride,
        padding=padding,
        dilation=dilation,
        added=False,
        other_added=False,
        size=step.output.size,
    )


def _accumulating(instructions: list[Instruction]) -> list[Instruction]:
    """The same, knowing which gradients exist already when they run from the last to the first."""
    written: set[int] = set()
    result = []
    for each in reversed(instructions):
        added = each.read in written
        written.add(each.read)
        other_added = each.other in written
        written.add(each.other)
        result.append(replace(each, added=added, other_added=other_added))
    return result[::-1]
