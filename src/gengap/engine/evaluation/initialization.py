"""The weights that training starts from: drawn, and adjusted to the data if the init depends on them.

The gradient that an init sees is itself uncertain. After `balanced:geo` on the first 8,192 of 30,000 images, the ratio
of the layers' gradients on all images is 1.2 to 1.9 in a width-4 network, instead of 1; batches of 128 instead of 1,000
change it by a factor of 1.03 to 1.15.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gengap import inits
from gengap.engine import stack
from gengap.engine.graph.scale_invariance import Scales, scales
from gengap.engine.objective import Objective
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell

SAMPLES = 8192  # training images that an init looks at, the first ones
BATCH_SIZE = 1000  # of them share their BatchNorm statistics


def start(arch: Architecture, cells: Sequence[Cell], images: Tensor, targets: Tensor, n_outputs: int) -> State:
    """Initial weights of every cell, which depend on neither its pack nor, but for rounding, its device.

    An init that looks at the data is given the gradient of the mean training loss over the first 8,192 training
    samples, or all if there are fewer, in runs of 1,000, each normalised by its own statistics: what the probe
    ``gradient`` measures in mode ``batch``. So cells that differ only in their batch size start from the same weights.
    Without augmentation, noise and dropout; in float64, one network at a time.

    Args:
        arch: Their architecture.
        cells: Settings of each network.
        images: The training images ``[N, C, H, W]``; the weights are of their dtype, on their device.
        targets: ``[N]``, as the loss wants them.
        n_outputs: Outputs of every network.

    Returns:
        The stacked state ``[K, ...]``.

    Raises:
        UserError: If an init cannot do with this architecture.
    """
    channels, height, width = images.shape[1:]
    state = stack.initial_state(cells, (channels, height, width), n_outputs, dtype=images.dtype, device=images.device)
    adjusted = [place for place, cell in enumerate(cells) if inits.looks_at_data(cell.init.name)]
    if adjusted:
        invariances = scales(arch)
        for place in adjusted:
            objective = Objective(
                arch=arch,
                state=stack.take(state, [place]),
                images=images[:SAMPLES],
                targets=targets[:SAMPLES],
                loss=cells[place].loss,
                through_batch=True,
                batch_size=BATCH_SIZE,
            )
            for name, value in _adjusted(objective, invariances, cells[place]).items():
                state[name][place] = value.to(images.dtype)
    return state


def _adjusted(objective: Objective, invariances: Scales, cell: Cell) -> State:
    """The state of one network, without the leading dimension."""

    def gradient(state: State) -> State:
        stack_of_one = {name: value.unsqueeze(0) for name, value in state.items()}
        return stack.network_state(objective.at(stack_of_one).gradient(), 0)

    return inits.adjust(
        inits.Drawn(
            init=cell.init,
            model=cell.model.name,
            seed=cell.seed,
            state={name: value.to(torch.float64) for name, value in stack.network_state(objective.state, 0).items()},
            gradient=gradient,
            layers=invariances.layers,
            scale_free=invariances.scale_free,
            output_norms=invariances.output_norms,
        )
    )
