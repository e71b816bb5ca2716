"""Which of the three steps trains a pack."""

import torch

from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training.fused_step import fuses, make_fused_step
from gengap.training.plain_step import fills, make_plain_step
from gengap.training.step import Step, make_step


def make(
    arch: Architecture,
    cell: Cell,
    image_shape: tuple[int, int, int],
    batch_size: int,
    device: torch.device,
    kind: str = "auto",
) -> Step:
    """The step of this kind, or the stacked one where the kernels lack a layer.

    Args:
        arch: Of the networks.
        cell: Any cell of the pack.
        image_shape: ``(channels, height, width)``.
        batch_size: Samples per step.
        device: Where they are trained.
        kind: ``stacked``, ``fused``, ``plain`` or ``auto``; see `gengap.training.RunOptions`.
    """
    if kind == "plain" or (kind == "auto" and fills(arch, batch_size, image_shape, device)):
        return make_plain_step(arch, cell)
    fused = kind == "fused" or (kind == "auto" and device.type == "cpu" and fuses(arch, cell, image_shape, batch_size))
    made = make_fused_step(arch, cell, image_shape) if fused else None
    return made or make_step(arch, cell)
