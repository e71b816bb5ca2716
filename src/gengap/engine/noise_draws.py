"""Noise on the pre-activations while training: its level and its draws (Li, Wei and Ma 2019).

In mode ``affine`` it makes the distribution of a layer's inputs unstable: mean and variance of every unit change at
every step (Santurkar et al. 2018, arXiv:1805.11604, section 2.2). Level 0.5 has the paper's numbers, as far as known.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from gengap import seeding
from gengap.engine.stack import State
from gengap.studies.settings import Cell, Training

MOMENTS = 10**6  # that are told apart within an epoch
GAIN = 0.5  # largest gain of a unit less 1, over the level
OWN = 0.2  # how far a sample's shift and gain lie from its unit's, over the level


def level(settings: Training, done: int) -> float:
    """Standard deviation of the noise after so many epochs: times `noise_factor` for every milestone reached."""
    reached = sum(done >= round(milestone * settings.epochs) for milestone in settings.noise_milestones)
    return settings.noise_std * settings.noise_factor**reached


def draws(
    cells: Sequence[Cell],
    buffer_shapes: Mapping[str, torch.Size],
    epoch: float,
    batch_sizes: Sequence[int],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Iterator[State]:
    """The noise of one epoch's steps, from a stream per cell that depends only on seed and epoch.

    A pack that goes on within an epoch passes over the steps that it has done.

    Args:
        cells: One per network of the stack; they share `noise_mode`.
        buffer_shapes: Where the noise enters, from `gengap.engine.layers.noise.buffer_shapes`.
        epoch: 0 for the first; a fraction has a stream of its own.
        batch_sizes: Samples of every step.
        dtype: Of the network.
        device: Of the network; drawn there, since one step may take millions of numbers.

    Yields:
        Buffers by name, ``[K, H, W]`` (after a linear layer ``[K]``) in mode ``shared``, ``[K, B, C, H, W]``
        (``[K, B, units]``) in the other modes; in mode ``affine`` also the gains, of the same shapes.
    """
    generators = [torch.Generator(device) for _ in cells]
    for cell, generator in zip(cells, generators, strict=True):
        generator.manual_seed(seeding.torch_seed(cell.seed, seeding.NOISE, *_stream(epoch)))
    levels = torch.tensor([level(cell.training, int(epoch)) for cell in cells], dtype=dtype, device=device)
    shared = cells[0].training.noise_mode == "shared"
    for batch_size in batch_sizes:
        shapes = {name: shape[1:] if shared else (batch_size, *shape) for name, shape in buffer_shapes.items()}
        sizes = [math.prod(shape) for shape in shapes.values()]
        rows = [torch.randn(sum(sizes), generator=each, dtype=dtype, device=device) for each in generators]
        parts = (torch.stack(rows) * levels[:, None]).split(sizes, dim=1)
        fields = {
            name: part.view(len(cells), *shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)
        }
        if cells[0].training.noise_mode == "affine":
            fields |= _affine(fields, buffer_shapes, levels, generators)
        yield fields


def _stream(epoch: float) -> tuple[int, ...]:
    """What tells the noise of an epoch, or of a moment within it, from all other noise of a seed."""
    whole, rest = divmod(epoch, 1)
    return (int(whole), round(rest * MOMENTS)) if rest else (int(whole),)


def _affine(
    normal: State, buffer_shapes: Mapping[str, torch.Size], levels: torch.Tensor, generators: Sequence[torch.Generator]
) -> State:
    """Shift and gain of every sample's every unit, around those of the unit.

    Args:
        normal: Normal numbers ``[K, B, *shape]`` times the level, by the name of the shift.
        buffer_shapes: Shapes of one sample, by that name.
        levels: ``[K]``.
        generators: One per network.
    """
    dtype, device = levels.dtype, levels.device
    found: State = {}
    for name, shape in buffer_shapes.items():
        samples = normal[name].shape[1]
        units, own = (
            torch.stack(
                [torch.rand((*size, *shape), generator=each, dtype=dtype, device=device) for each in generators]
            )
            for size in ((2, 1), (samples,))
        )
        level = levels.view(-1, *[1] * (len(shape) + 1))
        shift, gain = units.unbind(dim=1)  # [K, 1, *shape]
        found[name] = level * (2 * shift - 1 + OWN * (2 * own - 1))
        found[name.removesuffix("noise") + "gain"] = 1 + GAIN * level * gain + OWN * normal[name]
    return found
