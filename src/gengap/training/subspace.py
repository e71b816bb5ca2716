"""Training in a random subspace: the weights are theta_0 + P theta_d, and the optimiser moves theta_d alone.

What it needs is part of the optimiser's state, so that whatever keeps, saves or halves a pack does the same with it.
The weights themselves stay in the stack, where evaluations, snapshots and probes find them.
"""

from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from gengap import seeding
from gengap.engine import stack
from gengap.engine.stack import Architecture, State
from gengap.errors import UserError
from gengap.studies.settings import Cell
from gengap.training.optimizers import OptimizerState, per_cell
from gengap.training.projections import KINDS

# Kinds of optimiser state, named as no optimiser names its own.
COORDINATES, FIRST, PROJECTION = "subspace coordinates", "subspace first", "subspace projection"
_OWN = (COORDINATES, FIRST, PROJECTION)


def start(cells: Sequence[Cell], parameters: State, optimizer: ModuleType) -> OptimizerState:
    """theta_d = 0, and each cell's own P.

    Raises:
        UserError: If the subspace has more dimensions than the network has weights.
    """
    shared = cells[0].training
    d, n_weights = _dimension(cells[0]), sum(value[0].numel() for value in parameters.values())
    if d > n_weights:
        raise UserError(f"training.subspace: {d:,} is more than the {n_weights:,} weights of the network. Lower it.")
    like = next(iter(parameters.values()))
    kind, drawn = KINDS[shared.projection], []
    for cell in cells:
        generator = torch.Generator().manual_seed(seeding.torch_seed(cell.seed, seeding.SUBSPACE, d))
        drawn.append(kind.draw(d, n_weights, generator))
    coordinates = {COORDINATES: like.new_zeros(len(cells), d)}
    state: OptimizerState = optimizer.start(coordinates)
    projection = {
        name: value.to(like) if value.is_floating_point() else value.to(like.device)
        for name, value in stack.stacked(drawn).items()
    }
    return {**state, COORDINATES: coordinates, FIRST: dict(parameters), PROJECTION: projection}


def step(
    arch: Architecture,
    cell: Cell,
    optimizer: ModuleType,
    parameters: State,
    gradients: State,
    optimizer_state: OptimizerState,
    hyperparameters: dict[str, Tensor],
) -> tuple[State, OptimizerState]:
    """One step of theta_d along P' g; the L2 penalty is that of all weights, so its gradient is projected too.

    Args:
        arch: The networks' architecture.
        cell: Any cell of the pack.
        optimizer: The optimiser's module.
        parameters: theta, ``[K, ...]``.
        gradients: Of the data loss with respect to theta, ``[K, ...]``.
        optimizer_state: From `start` or the last step.
        hyperparameters: See `gengap.training.optimizers`.

    Returns:
        The new theta, and the optimiser's new state.
    """
    kind, projection = KINDS[cell.training.projection], optimizer_state[PROJECTION]
    if "weight_decay" in hyperparameters:
        decay = hyperparameters["weight_decay"]
        gradients = {name: value + per_cell(decay, value) * parameters[name] for name, value in gradients.items()}
        hyperparameters = {**hyperparameters, "weight_decay": torch.zeros_like(decay)}
    own = {name: part for name, part in optimizer_state.items() if name not in _OWN}
    along = {COORDINATES: kind.reduce(projection, stack.flatten(arch, gradients), _dimension(cell))}
    moved, own = optimizer.step(optimizer_state[COORDINATES], along, own, hyperparameters, cell.optimizer)
    shift = stack.unflatten(arch, kind.expand(projection, moved[COORDINATES], arch.n_parameters))
    first = optimizer_state[FIRST]
    new = {name: first[name] + shift[name] for name in parameters}
    return new, {**own, COORDINATES: moved, FIRST: first, PROJECTION: projection}


def _dimension(cell: Cell) -> int:
    d: int | None = cell.training.subspace
    if d is None:
        raise ValueError("the cell trains its weights, not a subspace")
    return d
