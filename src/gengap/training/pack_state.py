"""The stack of networks in training."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gengap import registry
from gengap.engine import stack
from gengap.engine.stack import Architecture, State
from gengap.training import masks, subspace
from gengap.training.cell_result import CellResult
from gengap.training.joined_step import JoinedStep
from gengap.training.step import NetworkState, Step


class PackState:
    """Networks in training; a finished cell keeps its slot until the stack is made smaller.

    Attributes:
        results: One per slot.
        epoch: Epochs done.
        step: Steps done in the epoch at hand.
        curvature: The last measured largest eigenvalue of the Hessian, per slot; not a number where none was.
        products: Products of the Hessian with a vector that measuring it took so far, per slot.
        compiled: Whether steps run compiled. Kept with the rest, so that a resumed pack gives the same bits.
    """

    def __init__(
        self,
        results: list[CellResult],
        networks: NetworkState,
        curvature: list[float],
        products: list[int],
        epoch: int = 0,
        step: int = 0,
        compiled: bool = False,
    ) -> None:
        self.results, self.curvature, self.products = results, curvature, products
        self.epoch, self.step, self.compiled = epoch, step, compiled
        self._networks = networks
        self._taken: Step | None = None  # the step that the networks come from

    @property
    def networks(self) -> NetworkState:
        """The networks, stacked ``[K, ...]``."""
        if isinstance(self._taken, JoinedStep):
            self._taken.settle()
        return self._networks

    @networks.setter
    def networks(self, networks: NetworkState) -> None:
        self._networks, self._taken = networks, None

    def take(self, step: Step, *others: Any) -> Tensor:
        """One step of all networks, given what it takes besides them; their losses."""
        # What the same step returned need not be settled.
        before = self._networks if step is self._taken else self.networks
        self._networks, loss = step(before, *others)
        self._taken = step
        return loss

    def with_networks(self, networks: NetworkState) -> "PackState":
        """The same stack with other networks."""
        other = copy.copy(self)
        other.networks = networks
        return other

    def state(self) -> State:
        """Parameters and buffers together."""
        return {**self.networks.parameters, **self.networks.buffers}

    def waiting(self) -> list[int]:
        """Places of the cells that are not finished."""
        return [slot for slot, result in enumerate(self.results) if not result.stopped_by]

    def keep(self, slots: Sequence[int]) -> None:
        """Drop all but the given slots."""
        parameters, buffers, optimizer_state = self.networks
        index = torch.tensor(slots, device=next(iter(parameters.values())).device)
        self.results = [self.results[slot] for slot in slots]
        self.networks = NetworkState(
            stack.take(parameters, index),
            stack.take(buffers, index),
            {kind: stack.take(part, index) for kind, part in optimizer_state.items()},
        )
        self.curvature = [self.curvature[slot] for slot in slots]
        self.products = [self.products[slot] for slot in slots]

    def restart(self) -> None:
        """Give every network the weights and statistics that it had before training, and a new optimiser."""
        firsts = [result.checkpoints[0.0] for result in self.results]
        like = self.state()
        state = {name: torch.stack([first[name] for first in firsts]).to(value) for name, value in like.items()}
        pruned = self.networks.optimizer_state.get(masks.MASK)
        self.networks = _networks(self.results, tuple(self.networks.parameters), state, pruned)

    def one(self, slot: int) -> State:
        """The state of one network, on the CPU, independent of the stack."""
        state = stack.network_state(self.state(), slot)
        return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def start(results: Sequence[CellResult], arch: Architecture, state: State, pruned: State | None = None) -> PackState:
    """A stack before its first step.

    Args:
        results: One per network, empty.
        arch: Their architecture.
        state: Initial weights ``[K, ...]``.
        pruned: Masks ``[K, ...]`` of the weights that are pruned; none or empty if none are.
    """
    unmeasured, none = [math.nan] * len(results), [0] * len(results)
    known = {name: state[name] for name in (*arch.parameters, *arch.buffers)}
    networks = _networks(results, arch.parameters, known, pruned)
    return PackState(list(results), networks, curvature=unmeasured, products=none)


def _networks(
    results: Sequence[CellResult], parameters: Sequence[str], state: State, pruned: State | None
) -> NetworkState:
    """Networks with an optimiser before its first step; `parameters` names what of the state it moves."""
    moved = {name: state[name] for name in parameters}
    optimizer = registry.load("optimizer", results[0].cell.optimizer.name)
    if results[0].cell.training.subspace is not None:
        optimizer_state = subspace.start([result.cell for result in results], moved, optimizer)
    else:
        optimizer_state = optimizer.start(moved)
    if pruned:
        optimizer_state[masks.MASK] = pruned
    return NetworkState(moved, {name: value for name, value in state.items() if name not in moved}, optimizer_state)
