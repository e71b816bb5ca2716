"""How many networks one call runs at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from gengap.engine.stack import State, n_networks, take

# Elements of the widest map of all networks that a call may hold: a GPU's memory, about 1 GB; a processor's cache.
_GPU_BUDGET = 64_000_000
_CACHE_BUDGET = 500_000


def groups(state: State, images: Tensor, batch_size: int) -> Iterator[State]:
    """Cut a stack into stacks that one uncompiled call runs well.

    On a CPU that is one network at a time: an ordinary convolution on a large batch is up to twice as fast there as
    the grouped one that a stack needs. A GPU takes as many networks as its memory allows.

    Args:
        state: Stacked state ``[K, ...]``.
        images: The images that the call reads.
        batch_size: How many of them at a time.
    """
    count = 1
    if images.device.type != "cpu":
        width = max((value.shape[1] for value in state.values() if value.dim() > 1), default=1)
        elements = width * images.shape[2] * images.shape[3] * min(batch_size, len(images))
        count = networks_per_call(elements, images.device)
    yield from slices(state, count)


def networks_per_call(elements: int, device: torch.device) -> int:
    """How many networks of so many elements in their widest map go into one call for evaluation."""
    return max(1, (_CACHE_BUDGET if device.type == "cpu" else _GPU_BUDGET) // elements)


def slices(state: State, count: int) -> Iterator[State]:
    """Cut a stack into stacks of at most `count` networks."""
    for at in range(0, n_networks(state), count):
        yield take(state, slice(at, at + count))
