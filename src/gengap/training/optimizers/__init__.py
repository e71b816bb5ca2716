"""Optimisers as functions on stacked tensors, with every cell's own settings; a new one is one file and one line.

Each module has `start(parameters)`, the initial memory, and `step(parameters, gradients, memory, settings)`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gengap.settings import Cell

NUMBERS = ("lr", "momentum", "weight_decay")
Memory = dict[str, dict[str, Tensor]]


def stacked_settings(cells: Sequence[Cell], *, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """The numeric settings of all cells' optimisers, each ``[K]``."""
    return {
        name: torch.tensor([getattr(cell.optimizer, name) for cell in cells], dtype=dtype, device=device)
        for name in NUMBERS
    }


def per_cell(value: Tensor, like: Tensor) -> Tensor:
    """Shape ``[K]`` so that it multiplies a stacked tensor ``[K, ...]``."""
    return value.view(-1, *[1] * (like.dim() - 1))
