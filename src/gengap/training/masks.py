"""Masks of pruned weights: 1 where a weight is trained, 0 where it stays exactly zero.

A mask is part of the optimiser's state, so that whatever keeps, saves or halves a pack does the same with its masks.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

import torch
from torch import Tensor

from gengap import seeding
from gengap.counting import count
from gengap.engine.stack import Architecture, State
from gengap.errors import UserError
from gengap.studies.settings import Cell, Optimizer
from gengap.training.optimizers import OptimizerState

MASK = "mask of weights"  # kind of optimiser state, named as no optimiser names its own


def prunable(arch: Architecture) -> list[str]:
    """Names of the weights of convolutions and linear layers, in the network's order."""
    return [name for name in (f"{layer}.weight" for layer in arch.layers) if name in arch.parameters]


def masked(tensors: State, masks: State) -> State:
    """Tensors by parameter, zero where a weight is pruned; others, such as a count of steps, as they are."""
    return {name: value * masks[name] if name in masks else value for name, value in tensors.items()}


def masked_state(state: OptimizerState, masks: State) -> OptimizerState:
    """An optimiser's state, moments and all, zero where a weight is pruned."""
    return {kind: masked(part, masks) for kind, part in state.items()}


def step(
    optimizer: ModuleType,
    parameters: State,
    gradients: State,
    state: OptimizerState,
    hyperparameters: dict[str, Tensor],
    settings: Optimizer,
) -> tuple[State, OptimizerState]:
    """One step of an optimiser, whose state holds masks; pruned weights and their moments stay exactly zero.

    Args:
        optimizer: The optimiser's module.
        parameters: ``[K, ...]``.
        gradients: Of the data loss with respect to the parameters.
        state: From `gengap.training.pack_state.start` or the last step.
        hyperparameters: See `gengap.training.optimizers`.
        settings: The optimiser's section.

    Returns:
        The new parameters, and the optimiser's new state.
    """
    pruned = state[MASK]
    new, moments = optimizer.step(parameters, masked(gradients, pruned), state, hyperparameters, settings)
    return masked(new, pruned), {**masked_state(moments, pruned), MASK: pruned}


def magnitude(weights: State, alive: State, cell: Cell) -> State:
    """Prune the smallest weights of one network.

    Args:
        weights: Of every layer to prune, in the network's order.
        alive: Masks of the same shapes, of what was pruned before.
        cell: Its section `after` has the shares and their scope.

    Returns:
        Masks of the same shapes.

    Raises:
        UserError: If there are neither one share nor as many as layers.
    """
    shares = cell.after.prune
    if len(shares) not in (1, len(weights)):
        raise UserError(
            f"after.prune: has {count(len(shares), 'share')}, and the network has "
            f"{count(len(weights), 'layer')}: {', '.join(weights)}. Give one share, or one for each layer."
        )
    if cell.after.scope == "layer":
        each = shares if len(shares) > 1 else shares * len(weights)
        return {name: _smallest(weights[name], alive[name], share) for name, share in zip(weights, each, strict=True)}
    if len(shares) > 1:
        raise UserError("after.scope: global takes one share in after.prune, of all layers but the last.")
    names = list(weights)[:-1]
    together = torch.cat([weights[name].flatten() for name in names])
    left = _smallest(together, torch.cat([alive[name].flatten() for name in names]), shares[0])
    parts = left.split([weights[name].numel() for name in names])
    return {name: part.view_as(weights[name]) for name, part in zip(names, parts, strict=True)} | {
        name: alive[name] for name in list(weights)[-1:]
    }


def shuffled(masks: Mapping[str, Tensor], cell: Cell) -> State:
    """As many ones in every layer, at places that the cell's seed draws."""
    found = {}
    for number, (name, mask) in enumerate(masks.items(), start=1):
        generator = torch.Generator().manual_seed(seeding.torch_seed(cell.seed, seeding.INIT, cell.after.links, number))
        order = torch.randperm(mask.numel(), generator=generator)
        found[name] = mask.flatten()[order.to(mask.device)].view_as(mask)
    return found


def ones(parameters: State, names: Sequence[str]) -> State:
    """Masks that prune nothing."""
    return {name: torch.ones_like(parameters[name]) for name in names}


def expected(cells: Sequence[Cell], arch: Architecture, state: State) -> State:
    """Masks that leave as many weights as the cells' own will, evenly spread; none where none is pruned."""
    if not any(cell.after.masked for cell in cells):
        return {}
    found = {name: torch.zeros_like(state[name]) for name in prunable(arch)}
    for slot, cell in enumerate(cells):
        for mask in found.values():
            size = mask[slot].numel()
            left = max(1, round(cell.after.left * size))
            mask[slot].view(-1)[torch.arange(left) * size // left] = 1
    return found


def _smallest(weights: Tensor, alive: Tensor, share: float) -> Tensor:
    """Prune a share of what is alive; of equal weights the first ones."""
    size = weights.abs().masked_fill(alive == 0, torch.inf).flatten()
    mask = alive.clone().flatten()
    mask[size.argsort(stable=True)[: round(share * int(alive.sum()))]] = 0
    return mask.view_as(weights)
