"""A network for evaluation as instructions for `kernels/forward.cpp`, which keeps its maps in the processor's cache."""

import operator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import TensorMetadata

from gengap.engine.cpu.patch_moments import Known
from gengap.engine.layers.batchnorm import FunctionalBatchNorm

# Numbers per image of all maps, and of one network, beyond which they do not fit the cache of a processor's core.
_ROOM = 2**14
_NUMBERS = 2**18
# Products per element of a map of the images up to which it is made anew for a later pass: that is faster than memory.
_CHEAP = 64
_KINDS = ("convolve", "add", "maximum", "scale", "copy", "keep", "measure")
_IN_PLACE = ("add", "scale", "copy")  # may write where they read
_POINT = (1, 1, 1, 0, 1)  # kernel height and width, stride, padding, dilation


@dataclass(frozen=True)
class Program:
    """Instructions in the order in which they run.

    Attributes:
        instructions: Each as the struct `Instruction` of `forward.cpp`, one after another.
        length: How many.
        layers: Names of the layers whose numbers follow one another in those of a network.
        norms: Names of the BatchNorms among them, in the order in which they measure.
        known: Other BatchNorms, whose statistics need no pass.
        room: Numbers per image of the maps of one pass.
        kept: Numbers per image of the maps that a later pass reads.
        n_outputs: Numbers per image that the last instruction makes; 0 if it only measures.
    """

    instructions: tuple[int, ...]
    length: int
    layers: tuple[str, ...]
    norms: tuple[str, ...]
    known: tuple[Known, ...]
    room: int
    kept: int
    n_outputs: int


def program(traced: fx.GraphModule, *, measures: bool = False) -> Program | None:
    """The instructions of a traced network; None if it has a step that the kernels do not know, or large maps.

    Args:
        traced: In evaluation mode; its nodes carry the shapes of their values (`ShapeProp`).
        measures: Whether every BatchNorm measures what it reads, in passes over all images, before it normalises. Such
            a program ends with a pass that makes outputs, or has none if that pass would not end with them.
    """
    modules = dict(traced.named_modules())
    steps: dict[fx.Node, _Step] = {}
    for node in traced.graph.nodes:
        step = _step(node, modules.get(str(node.target)) if node.op == "call_module" else None, steps)
        if step is None:
            return None
        if step.sources:
            step.turn = max(steps[source].turn for source in step.sources)
            step.known = measures and step.kind == "scale" and _is_cheap(steps[step.sources[0]], steps)
            step.turn += measures and step.kind == "scale" and not step.known
        steps[node] = step
    known = _known(steps) if measures else []
    if measures:
        _delay(steps)
    *_, last = (step for step in steps.values() if step.kind != "same")
    output = next(reversed(steps.values())).map
    # The last instruction must make the outputs, in their order, and behind every measurement.
    gives = last.map is output and last.kind != "image" and output.shape[1:] == (1, 1)
    gives &= all(step.measured < last.turn for step in steps.values() if step.kind == "scale")
    if not measures and not gives:
        return None
    room, kept = _place(steps)
    if room > _ROOM or sum(step.numbers for step in steps.values()) > _NUMBERS:
        return None
    instructions = _instructions(steps, measures, gives)
    layers = tuple(str(node.target) for node, step in steps.items() if step.numbers)
    scales = {node: step for node, step in steps.items() if step.kind == "scale"}
    measured = sorted(
        ((step.measured, str(node.target)) for node, step in scales.items() if not step.known), key=itemgetter(0)
    )
    norms = tuple(name for _, name in measured)
    flat = tuple(number for instruction in instructions for number in instruction)
    n_outputs = output.shape[0] if gives else 0
    return Program(flat, len(instructions), layers, norms, tuple(known), room, kept, n_outputs)


@dataclass
class _Map:
    """Channels, height and width of a value, and where it lies.

    Attributes:
        shape: Channels, height and width.
        place: In the room of the passes that make it.
        kept: In what is kept for the passes behind `turn`, if they read it.
        turn: The last pass that makes it.
    """

    shape: tuple[int, int, int]
    place: int = 0
    kept: int | None = None
    turn: int = 0

    def at(self, turn: int) -> int:
        """Where a pass finds it."""
        return self.place if self.kept is None or turn <= self.turn else self.kept


@dataclass
class _Step:
    """What one node does; of kind ``image`` or ``same``, nothing.

    Attributes:
        kind: An instruction's, or ``image``, or ``same`` for what only passes a map on.
        sources: The nodes that it reads.
        map: What it makes.
        geometry: As `_POINT`.
        numbers: How many of a network's are its own.
        rectify: Whether what is negative becomes 0.
        turn: The pass it runs in.
        measured: The pass that measures what it reads, if it is a normalisation.
        known: Whether what it reads need not be measured.
        again: Later passes in which it runs once more.
    """

    kind: str
    sources: list[fx.Node]
    map: _Map
    geometry: tuple[int, ...] = _POINT
    numbers: int = 0
    rectify: bool = False
    turn: int = 0
    measured: int = -1
    known: bool = False
    again: tuple[int, ...] = ()


def _step(node: fx.Node, module: nn.Module | None, steps: dict[fx.Node, _Step]) -> _Step | None:
    """The step of a node, whose sources have theirs; None if the kernels do not know it."""
    if not isinstance(node.meta.get("tensor_meta"), TensorMetadata):
        return None
    if node.op == "placeholder":
        return _Step("image", [], _Map(_map_shape(node)))
    sources = [source for source in node.args if isinstance(source, fx.Node)]
    if not sources or node.kwargs:
        return None
    given = steps[sources[0]].map
    if _passes_on(node, module):
        return _Step("same", sources, given)
    if isinstance(module, nn.ReLU):
        return _relu(sources, steps)
    made = _Map(_map_shape(node))
    if isinstance(module, FunctionalBatchNorm) and made.shape == given.shape:
        return _Step("scale", sources, made, numbers=2 * made.shape[0])
    if isinstance(module, nn.Linear) and len(sources[0].meta["tensor_meta"].shape) == 2:
        # A kernel as large as the map: its weights are in the order in which maps are flattened, channel by channel.
        return _Step("convolve", sources, made, (*given.shape[1:], 1, 0, 1), (module.in_features + 1) * made.shape[0])
    if isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros" and _square(module):
        numbers = module.weight.numel() + made.shape[0]
        return _Step("convolve", sources, made, _geometry(module), numbers)
    if isinstance(module, nn.MaxPool2d) and not module.ceil_mode and not module.padding and _square(module):
        return _Step("maximum", sources, made, _geometry(module))
    adds = node.op == "call_function" and node.target in (operator.add, torch.add)
    if adds and len(sources) == len(node.args) == 2 and given.shape == steps[sources[1]].map.shape == made.shape:
        return _Step("add", sources, made)
    return None


def _relu(sources: list[fx.Node], steps: dict[fx.Node, _Step]) -> _Step:
    """Part of the step before, if nothing else reads what that makes."""
    (given,) = sources
    if len(given.users) == 1 and steps[given].kind in _KINDS:
        steps[given].rectify = True
        return _Step("same", sources, steps[given].map)
    return _Step("copy", sources, _Map(steps[given].map.shape), rectify=True)


def _passes_on(node: fx.Node, module: nn.Module | None) -> bool:
    if isinstance(module, nn.Flatten):
        return module.start_dim == 1 and module.end_dim == -1
    flattens = node.op == "call_method" and node.target == "flatten" and node.args[1:] == (1,)
    return flattens or node.op == "output" or isinstance(module, (nn.Identity, nn.Dropout))


def _map_shape(node: fx.Node) -> tuple[int, int, int]:
    channels, height, width = (*node.meta["tensor_meta"].shape[1:], 1, 1)[:3]
    return channels, height, width


def _pairs(layer: nn.Conv2d | nn.MaxPool2d) -> list[Any]:
    """Kernel size, stride, padding and dilation, each down and across."""
    values = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return [(value, value) if isinstance(value, int) else value for value in values]


def _square(layer: nn.Conv2d | nn.MaxPool2d) -> bool:
    """Whether stride, padding and dilation are the same both ways."""
    return all(isinstance(pair, tuple) and len(set(pair)) == 1 for pair in _pairs(layer)[1:])


def _geometry(layer: nn.Conv2d | nn.MaxPool2d) -> tuple[int, ...]:
    kernel, *others = _pairs(layer)
    return (*kernel, *(pair[0] for pair in others))


def _known(steps: dict[fx.Node, _Step]) -> list[Known]:
    """The normalisations whose statistics need no pass; where nothing else reads a map, its layer normalises it."""
    found = []
    for node, step in steps.items():
        if step.known:
            layer = step.sources[0]
            folded = len(layer.users) == 1
            found.append(Known(str(node.target), str(layer.target), _shape(steps[layer], steps), folded))
            if folded:
                steps[layer].map, steps[layer].rectify = step.map, step.rectify
                step.kind, step.known, step.numbers = "same", False, 0
    return found


def _delay(steps: dict[fx.Node, _Step]) -> None:
    """Normalise as late as possible, and make cheap maps anew where they are read: less is kept between passes."""
    for step in reversed(steps.values()):
        if step.kind == "scale":
            step.measured = step.turn - 1
            needed = [one.measured if one.kind == "scale" else one.turn for one in _readers(steps, step.map)]
            step.turn = min(needed, default=step.turn)
    for step in steps.values():
        if _is_cheap(step, steps):
            readers = _readers(steps, step.map)
            measured = {one.measured for one in readers if one.kind == "scale" and not one.known}
            first, *later = sorted({one.turn for one in readers} | measured) or [step.turn]
            step.turn, step.again = first, tuple(later)


def _is_cheap(step: _Step, steps: dict[fx.Node, _Step]) -> bool:
    """Whether a step makes a map of the images, of so few products that it may be made anew; its moments are known."""
    if step.kind != "convolve" or steps[step.sources[0]].kind != "image":
        return False
    return steps[step.sources[0]].map.shape[0] * step.geometry[0] * step.geometry[1] <= _CHEAP


def _readers(steps: dict[fx.Node, _Step], made: _Map) -> list[_Step]:
    """The steps that read a map."""
    working = (step for step in steps.values() if step.kind not in ("image", "same"))
    return [step for step in working if any(steps[source].map is made for source in step.sources)]


def _turns(steps: dict[fx.Node, _Step], made: _Map) -> list[int]:
    """The passes in which a map is read, once per reader."""
    return [step.turn for step in _readers(steps, made)]


def _place(steps: dict[fx.Node, _Step]) -> tuple[int, int]:
    """Give every map its place: in its pass's room, and in what is kept for later ones. Returns the size of both."""
    room: dict[int, int] = {}  # that every pass has used, with the image
    image = kept = 0
    for step in steps.values():
        size = step.map.shape[0] * step.map.shape[1] * step.map.shape[2]
        if step.kind == "same":
            continue
        if step.kind == "image":
            image = size
            continue
        turns = (step.turn, *step.again)
        step.map.turn = max(turns)
        if max(_turns(steps, step.map), default=0) > step.map.turn:
            step.map.kept = -1 - kept
            kept += size
        given = steps[step.sources[0]].map
        alone = given.place > 0 and given.kept is None and _turns(steps, given) == [step.turn]
        if step.kind in _IN_PLACE and alone:
            step.map.place = given.place
        else:
            step.map.place = max(room.get(turn, image) for turn in turns)
            room |= dict.fromkeys(turns, step.map.place + size)
    return max(room.values(), default=image), kept


def _shape(step: _Step, steps: dict[fx.Node, _Step]) -> tuple[int, ...]:
    """As the struct `Shape` of `maps.h`."""
    return _struct(steps[step.sources[0]].map.shape, step.map.shape[0], step.geometry)


def _struct(given: tuple[int, int, int], channels: int, geometry: tuple[int, ...]) -> tuple[int, ...]:
    """The struct `Shape` of `maps.h`, of a step from a map of a shape to one of so many channels."""
    return (1, *given[1:], given[0], 0, channels, *geometry)


def _instructions(steps: dict[fx.Node, _Step], measures: bool, gives: bool) -> list[tuple[int, ...]]:
    """All instructions, pass by pass, with the measurements of a pass at its end."""
    found: list[tuple[tuple[int, bool], tuple[int, ...]]] = []
    numbers = 0
    for step in steps.values():
        if step.kind not in _KINDS:
            continue
        given, *others = (steps[source].map for source in step.sources)
        shape = _shape(step, steps)
        if measures and step.kind == "scale" and not step.known:
            places = (given.at(step.measured), 0, 0, 0, numbers)
            found.append(((step.measured, True), (_KINDS.index("measure"), *places, *shape)))
        for turn in (step.turn, *step.again):
            other = others[0].at(turn) if others else 0
            places = (given.at(turn), other, step.map.place, int(step.rectify), numbers)
            found.append(((turn, False), (_KINDS.index(step.kind), *places, *shape)))
        if step.map.kept is not None:
            places, shape = (step.map.place, 0, step.map.kept, 0, 0), _struct(step.map.shape, step.map.shape[0], _POINT)
            found.append(((step.turn, False), (_KINDS.index("keep"), *places, *shape)))
        numbers += step.numbers
    found.sort(key=lambda one: one[0])
    if not gives:  # what follows the last measurement would be computed for nothing
        while found and not found[-1][0][1]:
            found.pop()
    return [instruction for _, instruction in found]
