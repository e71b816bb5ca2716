"""Optimisers as functions on stacked tensors, with every cell's own settings; a new one is one file with a header.

Each module has `HYPERPARAMETERS`, the settings that may differ between cells; `start(parameters)`, the optimiser's
state before the first step; and `step(parameters, gradients, optimizer_state, hyperparameters, settings)`, which
returns new parameters and a new state. Parameters, gradients (of the data loss) and state are stacked ``[K, ...]``,
`hyperparameters` has what `HYPERPARAMETERS` names, each ``[K]``, and `settings` is what the cells share. Where the
setting `eps` is read, `EPS` stands for null. An optimiser that moves every number of a network by that number's own
gradient and state may say `ELEMENTWISE = True`; the tensors of a network may then be given as one. Each kind of its
state has a tensor of the parameter's shape for every parameter, or tensors under other names.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gengap import registry
from gengap.studies.settings import Cell

OptimizerState = dict[str, dict[str, Tensor]]


def stacked_settings(cells: Sequence[Cell], *, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """The numeric settings that the cells' optimiser reads, each ``[K]``; they share its kind."""
    module = registry.load("optimizer", cells[0].optimizer.name)
    values = {name: [getattr(cell.optimizer, name) for cell in cells] for name in module.HYPERPARAMETERS}
    if "eps" in values:
        values["eps"] = [module.EPS if value is None else value for value in values["eps"]]
    return {name: torch.tensor(listed, dtype=dtype, device=device) for name, listed in values.items()}


def per_cell(value: Tensor, like: Tensor) -> Tensor:
    """Shape ``[K]`` so that it multiplies a stacked tensor ``[K, ...]``."""
    return value.view(-1, *[1] * (like.dim() - 1))
