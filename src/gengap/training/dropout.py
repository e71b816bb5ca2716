"""Which values each step of an epoch keeps in every network's dropout layers."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from gengap import seeding
from gengap.engine.stack import State
from gengap.studies.settings import Cell


def draws(
    cells: Sequence[Cell],
    buffer_shapes: Mapping[str, tuple[torch.Size, float]],
    epoch: int,
    batch_sizes: Sequence[int],
    device: torch.device,
) -> Iterator[State]:
    """The masks of one epoch's steps, from a stream per cell that depends only on seed and epoch.

    Args:
        cells: One per network of the stack.
        buffer_shapes: What is dropped, from `gengap.engine.layers.dropout.buffer_shapes`.
        epoch: 0 for the first.
        batch_sizes: Samples of every step.
        device: Of the network; drawn there, since one step may take millions of numbers.

    Yields:
        Buffers by name, bool ``[K, B, ...]``; each value is kept with probability 1 - p.
    """
    generators = [torch.Generator(device) for _ in cells]
    for cell, generator in zip(cells, generators, strict=True):
        generator.manual_seed(seeding.torch_seed(cell.seed, seeding.DROPOUT, epoch))
    for batch_size in batch_sizes:
        yield {
            name: torch.stack(
                [
                    torch.empty(batch_size, *shape, dtype=torch.bool, device=device).bernoulli_(1 - p, generator=each)
                    for each in generators
                ]
            )
            for name, (shape, p) in buffer_shapes.items()
        }
