"""The weights of cells that come after others (section `after`): read from the origins' files, reset and pruned."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gengap import seeding
from gengap.counting import count
from gengap.engine import weights
from gengap.engine.stack import Architecture, State, network_state, stacked
from gengap.errors import UserError
from gengap.logs import log
from gengap.studies.settings import Cell
from gengap.training import masks


def drawn(cells: Sequence[Cell]) -> list[Cell]:
    """The cells whose inits are drawn: a network that is drawn afresh has other weights than those it comes after."""
    return [
        cell.model_copy(update={"seed": seeding.torch_seed(cell.seed, seeding.INIT, cell.after.links)})
        if cell.after.weights == "fresh"
        else cell
        for cell in cells
    ]


def start(cells: Sequence[Cell], arch: Architecture, state: State, files: Sequence[Path]) -> tuple[State, State]:
    """Where networks start that come after others.

    Args:
        cells: Their settings.
        arch: Their architecture.
        state: Their inits' weights ``[K, ...]``.
        files: Weights of the packs that hold their origins.

    Returns:
        The weights ``[K, ...]``, pruned ones zero, not a number where the origin's weights that decide on the mask are
        not; and the masks of convolutions and linear layers ``[K, ...]``, none
        where no network is pruned.

    Raises:
        UserError: If the files lack an origin, or the weights of an origin at the epoch asked for.
    """
    if not any(cell.after.cell for cell in cells):
        return state, {}
    found = _read([cell.after.cell for cell in cells if cell.after.cell], files)
    layers = masks.prunable(arch)
    starts, left, diverged = [], [], 0
    for place, cell in enumerate(cells):
        own = network_state(state, place)
        if cell.after.cell is not None:
            checkpoints = found[_key(cell.after.cell)]
            own = _weights(cell, checkpoints, own)
            if cell.after.masked:
                last = checkpoints[max(checkpoints)]
                mask = _mask(cell, cell.after.cell, last, layers, own)
                own = masks.masked(own, mask)
                left.append(mask)
                if not all(last[name].isfinite().all() for name in layers):
                    diverged += 1
                    own = {name: torch.full_like(value, torch.nan) for name, value in own.items()}
        starts.append(own)
    if diverged:
        log.warning(
            "%s of a network that diverged: its weights have no order to prune them by, so %s as diverged too",
            count(diverged, "network is a pruned one", "networks are pruned ones"),
            "it counts" if diverged == 1 else "they count",
        )
    return stacked(starts), stacked(left) if left else {}


def _weights(cell: Cell, checkpoints: weights.Checkpoints, fresh: State) -> State:
    """The weights that one cell starts from, before any is pruned, where `fresh` has its own."""
    at = cell.after.weights
    if at == "fresh":
        return fresh
    epoch = max(checkpoints) if at == "last" else at
    if epoch not in checkpoints:
        kept = ", ".join(f"{epoch:g}" for epoch in sorted(checkpoints))
        arm = f"arm '{cell.arm}', " if cell.arm else ""
        raise UserError(
            f"{arm}seed {cell.seed}: after.weights: the origin ended early and has no weights at epoch {epoch:g}, "
            f"only at {kept}. Choose one of these, or last."
        )
    found = {name: value.to(fresh[name]) for name, value in checkpoints[epoch].items()}
    return {name: _grown(value, fresh[name]) for name, value in found.items()} if cell.after.grow else found


def _grown(small: Tensor, fresh: Tensor) -> Tensor:
    """The weights of a wider layer, of which the first along every dimension are those of a narrower one."""
    grown = fresh.clone()
    grown[tuple(slice(size) for size in small.shape)] = small
    return grown


def _mask(cell: Cell, origin: Cell, last: State, layers: Sequence[str], like: State) -> State:
    """The mask of one cell; what its origin has pruned is what is zero in its last weights."""
    trained = {name: last[name].to(like[name]) for name in layers}
    alive = masks.ones(trained, layers)
    if origin.after.masked:
        alive = {name: (value != 0).to(value) for name, value in trained.items()}
    if not cell.after.prune:
        return alive
    mask = masks.magnitude(trained, alive, cell)
    return masks.shuffled(mask, cell) if cell.after.mask == "random" else mask


def _read(wanted: Sequence[Cell], files: Sequence[Path]) -> Mapping[str, weights.Checkpoints]:
    """All checkpoints of the wanted cells, by what `_key` says of each."""
    keys = {_key(cell) for cell in wanted}
    found: dict[str, weights.Checkpoints] = {}
    for file in files:
        named = {name: _key(Cell.model_validate(settings)) for name, settings in weights.read_settings(file).items()}
        if keys.isdisjoint(named.values()):
            continue
        found |= {named[name]: saved for name, saved in weights.read(file).items() if named[name] in keys}
    if missing := len(keys - set(found)):
        listed = ", ".join(map(str, files)) or "any file"
        raise UserError(
            f"after.origin: {count(missing, 'network')} of {len(keys)} that others start from "
            f"{'is' if missing == 1 else 'are'} not in {listed}. Train the pack of their origins first."
        )
    return found


def _key(cell: Cell) -> str:
    identity: dict[str, Any] = cell.identity()
    return json.dumps(identity, sort_keys=True)
