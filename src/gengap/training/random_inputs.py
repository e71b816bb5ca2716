"""What is drawn for each training step and passed with the weights: noise before the ReLUs, masks of dropout."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from gengap.engine import noise_draws
from gengap.engine.layers import batchnorm, noise
from gengap.engine.layers import dropout as engine_dropout
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell
from gengap.training import dropout


@dataclass(frozen=True)
class BufferShapes:
    """Shapes of the buffers that take the draws, by name.

    Attributes:
        noise: See `gengap.engine.layers.noise.buffer_shapes`.
        dropout: See `gengap.engine.layers.dropout.buffer_shapes`.
    """

    noise: dict[str, torch.Size]
    dropout: dict[str, tuple[torch.Size, float]]


def network(arch: Architecture, cell: Cell) -> nn.Module:
    """The module that a step trains: the architecture's own, with buffers for what is drawn.

    BatchNorm's statistics are the batch's, or constants where the cell trains with exact ones.
    """
    trained = engine_dropout.masked(
        noise.noisy(arch.training, cell.training.noise_mode) if cell.training.noise_std else arch.training
    )
    return batchnorm.frozen(trained) if cell.training.step_batchnorm == "exact" else trained


def buffer_shapes(arch: Architecture, cell: Cell, image_shape: tuple[int, int, int]) -> BufferShapes:
    """Where draws enter the cell's network; nowhere if it has neither noise nor dropout."""
    trained = network(arch, cell)
    noisy = noise.buffer_shapes(trained, image_shape) if cell.training.noise_std else {}
    return BufferShapes(noisy, engine_dropout.buffer_shapes(trained, image_shape))


def draws(
    cells: Sequence[Cell],
    buffer_shapes: BufferShapes,
    epoch: int,
    batch_sizes: Sequence[int],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Iterator[State]:
    """The buffers of one epoch's steps, stacked ``[K, ...]``; see `engine.noise_draws` and `training.dropout`."""
    nothing: list[State] = [{}] * len(batch_sizes)
    noisy = noise_draws.draws(cells, buffer_shapes.noise, epoch, batch_sizes, dtype=dtype, device=device)
    kept = dropout.draws(cells, buffer_shapes.dropout, epoch, batch_sizes, device)
    # A pack of hundreds would spend milliseconds on drawing nothing.
    for fields, masks in zip(
        noisy if buffer_shapes.noise else nothing, kept if buffer_shapes.dropout else nothing, strict=True
    ):
        yield {**fields, **masks}
