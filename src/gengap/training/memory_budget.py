"""How much memory a pack takes: predicted before it starts, so that a pack that would not fit is trained in parts.

The peak is predicted from what autograd keeps for two and for four images of one network, and 1.5 times that for
temporaries: `torch.func.grad` keeps the graph of the backward pass as well. A fused step says itself what it holds.
Where memory still runs out, the part is halved.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch.func import functional_call

from gengap import registry
from gengap.engine.autograd_memory import KEPT_BYTES, saved_bytes
from gengap.engine.cpu import execution
from gengap.engine.stack import Architecture
from gengap.logs import log
from gengap.studies.settings import Cell
from gengap.training import fused_step, learning_rates, projections

_SPARE = 0.8  # share of the free memory that is planned with
# Measured against predicted peaks of uncompiled packs (Song's network at widths 16 to 64, ResNet-56 at width 8) were
# 1.2 to 1.6 times what autograd saves; PyTorch's own first allocations come on top.
_TEMPORARIES = 1.5
_OWN_BYTES = 100_000_000
_COLUMNS = 9  # numbers of a patch for each of a map, in graphs of the Hessian's products

T = TypeVar("T")


def predicted_bytes(
    arch: Architecture,
    cell: Cell,
    image_shape: tuple[int, int, int],
    n_samples: int,
    n_outputs: int,
    device: torch.device,
) -> tuple[int, int]:
    """Memory that a pack takes at the peak of its training: for every network, and for any number of them.

    The larger of two peaks. A step holds what autograd saves, counted on two and on four images, and its temporaries,
    or what `fused_step.held_bytes` says; and the weights: old, new, their gradient, and the optimiser's state old and
    new. An evaluation holds every network's outputs for the whole training set. Snapshots count on a CPU.

    Args:
        arch: The architecture.
        cell: Any cell of the pack; one whose schedule measures curvature, if there is one.
        image_shape: ``(channels, height, width)``.
        n_samples: Training samples.
        n_outputs: Outputs of the network.
        device: Where they are trained.

    Returns:
        Bytes that every network takes, and those that all of them share, PyTorch's own among them; without the data.
    """
    shared = _OWN_BYTES + (execution.HELD_BYTES if cell.training.batchnorm == "exact" else 0)
    batch_size = n_samples if cell.training.batch_size == "full" else min(cell.training.batch_size, n_samples)
    dtype = getattr(torch, cell.training.weights_dtype)
    fused = device.type == "cpu" and fused_step.fuses(arch, cell, image_shape, batch_size)
    stacked = [0 if fused else batch_size]  # the largest batch that takes the stacked step
    if fused:
        whole = [batch_size]
        if cell.training.switch_epoch is not None:
            whole.append(min(cell.training.switch_batch_size, n_samples))
        taken: dict[bool, list[int]] = {True: [], False: []}
        for size in (*whole, *(n_samples % size for size in whole if n_samples % size)):
            taken[fused_step.computed_samples(arch, cell, image_shape, size) > 0].append(size)
        held, of_all = fused_step.held_bytes(arch, cell, image_shape, max(taken[True]))
        shared += of_all
        stacked += taken[False]
    else:
        held = 0
    if largest := max(stacked):
        few, more = (_saved_by_autograd(arch, (count, *image_shape), dtype) for count in (2, 4))
        held = max(held, round(_TEMPORARIES * (few + (more - few) / 2 * (largest - 2))))
    weights: int = arch.n_parameters * dtype.itemsize
    kinds = len(registry.load("optimizer", cell.optimizer.name).start({"w": torch.zeros(1, 1)}))
    step = held + weights * (3 + 2 * kinds)
    if cell.training.subspace is not None:
        step += weights + projections.bytes_of(cell.training.projection, cell.training.subspace, arch.n_parameters)
    if device.type == "cpu" and learning_rates.expected_products(cell, 1):
        few, more = (_saved_by_autograd(arch, (count, *image_shape), dtype) for count in (2, 4))
        shared += min(KEPT_BYTES, round(_COLUMNS * (few + (more - few) / 2 * (n_samples - 2))))
    evaluation = n_samples * n_outputs * (dtype.itemsize + 3 * torch.float64.itemsize)
    peak: int = round(max(step, evaluation))
    return peak + weights * (len(cell.training.snapshots) + 2), shared


def in_parts(items: Sequence[T], each: int, shared: int, free: int, work: Callable[[Sequence[T]], None]) -> None:
    """Do some work on as many items at a time as fit into memory; if memory still runs out, on half of them.

    Args:
        items: Of equal size.
        each: Bytes that one item is predicted to take.
        shared: Bytes that all of them share.
        free: Bytes that there are.
        work: Called on the items part by part, each item once; after a failure it is called again with fewer.
    """
    most = max(1, int((free * _SPARE - shared) // each))
    if most < len(items):
        most = math.ceil(len(items) / math.ceil(len(items) / most))  # even parts: one network alone is slow
        log.warning(
            "%d networks together would take %s, and %s are free: they are trained %d at a time",
            *(len(items), _spell(shared + each * len(items)), _spell(free), most),
        )
    waiting = list(_cut(items, most))
    while waiting:
        part = waiting.pop(0)
        try:
            work(part)
        except (MemoryError, RuntimeError) as error:
            if len(part) == 1 or not out_of_memory(error):
                raise
            half = math.ceil(len(part) / 2)
            log.warning("memory ran out with %d networks: going on with %d at a time", len(part), half)
            waiting = [*_cut(part, half), *(small for rest in waiting for small in _cut(rest, half))]
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def free_bytes(device: torch.device, promised: int | None = None) -> int:
    """Memory that this process may still take on the device.

    Args:
        device: Where the networks are.
        promised: Of a CPU, what the job was given for all it does, if a scheduler gave it a share.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil  # PyTorch alone is enough to train on a GPU

    available = int(psutil.virtual_memory().available)
    if promised is None:
        return available
    return max(0, min(available, promised - int(psutil.Process().memory_info().rss)))


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory; PyTorch's CPU allocator says so in words alone."""
    words = ("can't allocate memory", "out of memory", "not enough memory")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(word in str(error) for word in words)


@functools.lru_cache(maxsize=256)  # packs of a grid share architectures
def _saved_by_autograd(arch: Architecture, images_shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Bytes that one step of one network keeps for its backward pass."""
    images = torch.zeros(images_shape, dtype=dtype)
    state = {
        name: torch.zeros(value.shape, dtype=dtype, requires_grad=name in arch.parameters)
        for name, value in arch.training.state_dict().items()
    }
    parameters = [state[name] for name in arch.parameters]

    def step() -> object:
        outputs = functional_call(arch.training, state, (images,))
        # `torch.func.grad` keeps the graph of the backward pass as well.
        return torch.autograd.grad(outputs.sum(), parameters, create_graph=True, allow_unused=True)

    return saved_bytes(step)


def _cut(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _spell(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
