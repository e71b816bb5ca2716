"""A network for evaluation as instructions for `kernels/evaluation.cpp`, which keeps its maps in the processor's cache.

With measurements, the instructions come in *passes* over all images. A pass ends with the moments of every map that a
BatchNorm reads and whose own statistics are then known; the next pass starts from there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter, itemgetter

from torch import fx

from gengap.engine.cpu.patch_moments import PatchNorm
from gengap.engine.cpu.steps import POINT, Map, Step, Steps, step_of

# Numbers per image of all maps, and of one network, beyond which they do not fit the cache of a processor's core.
_MOST_MAPS = 2**14
_MOST_WEIGHTS = 2**18
# Products per element of a map of the images up to which it is recomputed in a later pass: faster than memory.
_CHEAP = 64
# Numbers per image of a convolution's map up to which a pool reads it whole.
_WHOLE_MAP = 2**13
_CHANNELS = 8  # a multiple of these is computed at a time beyond: as many as the kernels hold sums of in registers
# As the enum `Kind` of `kernels.h`.
KINDS = ("convolve", "add", "max_pool", "average_pool", "scale", "copy", "pad", "keep", "measure")
_POOLS = ("max_pool", "average_pool")
_IN_PLACE = ("add", "scale", "copy")  # may write where they read


@dataclass(frozen=True)
class Program:
    """Instructions in the order in which they run.

    Attributes:
        instructions: Each as the struct `Instruction` of `kernels.h`, one after another.
        layers: Names of the layers whose weights follow one another in those of a network.
        norms: Names of the BatchNorms among them, in the order in which they measure.
        patch_norms: Other BatchNorms, whose statistics need no pass.
        buffer_size: Numbers per image of the maps of one pass.
        kept_size: Numbers per image of the maps that a later pass reads.
        n_outputs: Numbers per image that the last instruction computes; 0 if it only measures.
    """

    instructions: tuple[int, ...]
    layers: tuple[str, ...]
    norms: tuple[str, ...]
    patch_norms: tuple[PatchNorm, ...]
    buffer_size: int
    kept_size: int
    n_outputs: int


def program(traced: fx.GraphModule, *, measures: bool = False) -> Program | None:
    """The instructions of a traced network; None if the kernels lack one of its steps, or its maps are large.

    Args:
        traced: In evaluation mode; its nodes carry the shapes of their values (`ShapeProp`).
        measures: Whether every BatchNorm measures what it reads, in passes over all images, before it normalises. Such
            a program ends with a pass that computes outputs, or has none if that pass would not end with them.
    """
    modules = dict(traced.named_modules())
    steps: Steps = {}
    for node in traced.graph.nodes:
        step = step_of(node, modules.get(str(node.target)) if node.op == "call_module" else None, steps)
        if step is None:
            return None
        if step.inputs:
            step.pass_number = max(steps[read].pass_number for read in step.inputs)
            step.known = measures and step.kind == "scale" and _is_cheap(steps[step.inputs[0]], steps)
            if measures and step.kind == "scale" and not step.known:
                step.measured_in = step.pass_number
                step.pass_number += 1
        steps[node] = step
    patch_norms = _take_patch_norms(steps) if measures else []
    if measures:
        _recompute_cheap_maps(steps)
    *_, last = (step for step in steps.values() if step.kind != "same")
    output = next(reversed(steps.values())).output
    # The last instruction must compute the outputs, in their order, and after every measurement.
    gives_outputs = last.output is output and last.kind != "image" and output.shape[1:] == (1, 1)
    gives_outputs &= all(step.measured_in < last.pass_number for step in steps.values() if step.kind == "scale")
    if not measures and not gives_outputs:
        return None
    if not measures:
        _pool_in_parts(steps)
    buffer_size, kept_size = _assign_offsets(steps)
    if buffer_size > _MOST_MAPS or sum(step.n_weights for step in steps.values()) > _MOST_WEIGHTS:
        return None
    instructions = _instructions(steps, measures, gives_outputs)
    layers = tuple(str(node.target) for node, step in steps.items() if step.n_weights)
    scales = {node: step for node, step in steps.items() if step.kind == "scale"}
    measured = sorted(
        ((step.measured_in, str(node.target)) for node, step in scales.items() if not step.known), key=itemgetter(0)
    )
    norms = tuple(name for _, name in measured)
    n_outputs = output.shape[0] if gives_outputs else 0
    return Program(instructions, layers, norms, tuple(patch_norms), buffer_size, kept_size, n_outputs)


def _take_patch_norms(steps: Steps) -> list[PatchNorm]:
    """The normalisations whose statistics need no pass; where nothing else reads a map, its layer normalises it."""
    norms = []
    for node, step in steps.items():
        if step.known:
            layer = step.inputs[0]
            folded = len(layer.users) == 1
            norms.append(PatchNorm(str(node.target), str(layer.target), steps[layer].geometry, folded))
            if folded:
                steps[layer].output, steps[layer].relu = step.output, step.relu
                step.kind, step.known, step.n_weights = "same", False, 0
    return norms


def _recompute_cheap_maps(steps: Steps) -> None:
    """Run cheap convolutions of the images in every pass that reads them, so that their maps need not be kept."""
    for step in steps.values():
        if _is_cheap(step, steps):
            readers = _readers(steps, step.output)
            measured = {reader.measured_in for reader in readers if reader.kind == "scale" and not reader.known}
            passes = sorted({reader.pass_number for reader in readers} | measured) or [step.pass_number]
            step.pass_number, step.again = passes[0], tuple(passes[1:])


def _is_cheap(step: Step, steps: Steps) -> bool:
    """Whether a step convolves the images with so few products that it may be recomputed; its moments are known."""
    if step.kind != "convolve" or steps[step.inputs[0]].kind != "image":
        return False
    return steps[step.inputs[0]].output.shape[0] * step.geometry[0] * step.geometry[1] <= _CHEAP


def _pool_in_parts(steps: Steps) -> None:
    """Compute large maps that only a pool reads some channels at a time, so that the pool finds them in the cache."""
    for step in steps.values():
        if step.kind == "convolve" and step.output.size > _WHOLE_MAP:
            readers = _readers(steps, step.output)
            # What nothing reads are the network's outputs, which the last instruction must compute as a whole.
            if len(readers) == 1 and readers[0].kind in _POOLS and _readers(steps, readers[0].output):
                step.pool = readers[0]


def _channels_at_once(step: Step) -> int:
    """How many channels of its map a step computes before they are read."""
    channels, height, width = step.output.shape
    fits = _WHOLE_MAP // (height * width) // _CHANNELS * _CHANNELS
    return channels if step.pool is None else min(channels, max(_CHANNELS, fits))


def _readers(steps: Steps, map_: Map) -> list[Step]:
    """The steps that read a map."""
    working = (step for step in steps.values() if step.kind not in ("image", "same"))
    return [step for step in working if any(steps[read].output is map_ for read in step.inputs)]


def _read_in(steps: Steps, map_: Map) -> list[int]:
    """The passes in which a map is read, once per reader."""
    return [step.pass_number for step in _readers(steps, map_)]


@dataclass
class _Place:
    """Where a map lies in the buffer, and when.

    Attributes:
        begin: The place in the order of steps from which on it is written.
        lasts: By pass, that of the last step that reads it.
        offset: Numbers per image before it.
        size: Its own.
    """

    begin: int
    lasts: dict[int, float]
    offset: int
    size: int

    def meets(self, other: "_Place") -> bool:
        """Whether there is a step in any pass at which both are needed."""
        passes = self.lasts.keys() & other.lasts.keys()
        return any(self.begin <= other.lasts[number] and other.begin <= self.lasts[number] for number in passes)


def _assign_offsets(steps: Steps) -> tuple[int, int]:
    """Give every map its offset: in its passes' buffer, and in what is kept for later ones. Returns both sizes.

    A map takes the first place in the buffer that no other has which is still read.
    """
    order = {id(step): place for place, step in enumerate(steps.values())}
    begins = order | {id(step.pool): order[id(step)] for step in steps.values() if step.pool is not None}
    image_size = kept_size = 0
    placed: list[_Place] = []
    for step in steps.values():
        output = step.output
        if step.kind == "same":
            continue
        if step.kind == "image":
            image_size = output.size
            continue
        passes = (step.pass_number, *step.again)
        output.last_pass = max(passes)
        if max(_read_in(steps, output), default=0) > output.last_pass:
            output.kept_offset = -1 - kept_size
            kept_size += output.size
        own, size = order[id(step)], output.size // output.shape[0] * _channels_at_once(step)
        lasts = {number: max(own, _last_reader(steps, order, output, number)) for number in passes}
        place = _Place(begins[id(step)], lasts, image_size, size)
        first = steps[step.inputs[0]].output
        alone = first.offset > 0 and first.kept_offset is None and _read_in(steps, first) == [step.pass_number]
        if step.kind in _IN_PLACE and alone:
            place.offset = first.offset
        else:
            for other in sorted(placed, key=attrgetter("offset")):
                if place.meets(other) and other.offset < place.offset + size:
                    place.offset = max(place.offset, other.offset + other.size)
        output.offset = place.offset
        placed.append(place)
    return max((place.offset + place.size for place in placed), default=image_size), kept_size


def _last_reader(steps: Steps, order: dict[int, int], map_: Map, pass_number: int) -> float:
    """The place of the last step that reads a map in a pass that computes it; infinite if it is read at the end."""
    readers = _readers(steps, map_)
    if not readers or any(reader.measured_in == pass_number and not reader.known for reader in readers):
        return math.inf
    return max(
        (order[id(reader)] for reader in readers if pass_number in (reader.pass_number, *reader.again)), default=-1
    )


def _instructions(steps: Steps, measures: bool, gives_outputs: bool) -> tuple[int, ...]:
    """All instructions, pass by pass, with the measurements of a pass at its end."""
    keyed: list[tuple[tuple[int, bool], tuple[int, ...]]] = []
    weights = 0  # offset of the step's own
    pools = {id(step.pool) for step in steps.values()}
    for step in steps.values():
        if step.kind not in KINDS or id(step) in pools:
            continue
        first, *others = (steps[read].output for read in step.inputs)
        if step.pool is not None:
            keyed += [((step.pass_number, False), each) for each in _in_parts(first, step, step.pool, weights)]
            weights += step.n_weights
            continue
        geometry = _geometry(first, step.output, step.geometry)
        bias = weights + step.n_weights - step.output.shape[0] if step.n_weights else 0
        if measures and step.kind == "scale" and not step.known:
            offsets = (first.offset_in(step.measured_in), 0, 0)
            keyed.append(((step.measured_in, True), (KINDS.index("measure"), *offsets, 0, weights, bias, *geometry)))
        for number in (step.pass_number, *step.again):
            other = others[0].offset_in(number) if others else 0
            offsets = (first.offset_in(number), other, step.output.offset)
            own = (int(step.relu), weights, bias)
            keyed.append(((number, False), (KINDS.index(step.kind), *offsets, *own, *geometry)))
        if step.output.kept_offset is not None:
            offsets = (step.output.offset, 0, step.output.kept_offset)
            geometry = _geometry(step.output, step.output, POINT)
            keyed.append(((step.pass_number, False), (KINDS.index("keep"), *offsets, 0, 0, 0, *geometry)))
        weights += step.n_weights
    keyed.sort(key=itemgetter(0))
    if not gives_outputs:  # what follows the last measurement would be computed for nothing
        while keyed and not keyed[-1][0][1]:
            keyed.pop()
    return tuple(number for _, instruction in keyed for number in instruction)


def _in_parts(read: Map, step: Step, pool: Step, weights: int) -> Iterator[tuple[int, ...]]:
    """A convolution and the pool that reads it, in turn on some channels of its map."""
    channels, height, width = step.output.shape
    of_channel = step.n_weights // channels - 1
    at_once = _channels_at_once(step)
    for first in range(0, channels, at_once):
        part = Map((min(at_once, channels - first), height, width), step.output.offset)
        own = (weights + first * of_channel, weights + channels * of_channel + first)
        offsets = (read.offset_in(step.pass_number), 0, part.offset)
        yield (KINDS.index("convolve"), *offsets, int(step.relu), *own, *_geometry(read, part, step.geometry))
        offsets = (part.offset, 0, pool.output.offset + first)
        yield (KINDS.index(pool.kind), *offsets, int(pool.relu), 0, 0, *_geometry(part, pool.output, pool.geometry))


def _geometry(read: Map, written: Map, movement: tuple[int, ...]) -> tuple[int, ...]:
    """The struct `Geometry` of `kernels.h`."""
    channels, height, width = read.shape
    return (height, width, channels, written.shape[0], *movement)
