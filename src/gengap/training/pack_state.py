"""The stack of networks in training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gengap import registry
from gengap.engine import stack
from gengap.engine.stack import Architecture, State
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import Memory


@dataclass
class PackState:
    """Networks in training; a finished cell keeps its place until the stack is made smaller.

    Attributes:
        records: One per place.
        parameters: Stacked ``[K, ...]``.
        buffers: Stacked ``[K, ...]``: BatchNorm's running statistics.
        memory: The optimiser's.
        epoch: Epochs done.
        step: Steps done in the epoch at hand.
        curvature: The last measured largest eigenvalue of the Hessian, per place; not a number where none was.
        products: Products of the Hessian with a vector that measuring it took so far, per place.
        compiled: Whether steps run compiled. Kept with the rest, so that a resumed pack gives the same bits.
    """

    records: list[CellResult]
    parameters: State
    buffers: State
    memory: Memory
    curvature: list[float]
    products: list[int]
    epoch: int = 0
    step: int = 0
    compiled: bool = False

    def state(self) -> State:
        """Parameters and buffers together."""
        return {**self.parameters, **self.buffers}

    def waiting(self) -> list[int]:
        """Places of the cells that are not finished."""
        return [place for place, record in enumerate(self.records) if not record.stopped_by]

    def keep(self, places: Sequence[int]) -> None:
        """Drop all but the given places."""
        index = torch.tensor(places, device=next(iter(self.parameters.values())).device)
        self.records = [self.records[place] for place in places]
        self.parameters = stack.take(self.parameters, index)
        self.buffers = stack.take(self.buffers, index)
        self.curvature = [self.curvature[place] for place in places]
        self.products = [self.products[place] for place in places]
        self.memory = {kind: stack.take(part, index) for kind, part in self.memory.items()}

    def one(self, place: int) -> State:
        """The state of one network, on the CPU, independent of the stack."""
        return {name: value[place].detach().to("cpu", copy=True) for name, value in self.state().items()}


def start(records: Sequence[CellResult], arch: Architecture, state: State) -> PackState:
    """A stack before its first step.

    Args:
        records: One per network, empty.
        arch: Their architecture.
        state: Initial weights ``[K, ...]``.
    """
    parameters = {name: state[name] for name in arch.parameters}
    memory = registry.load("optimizer", records[0].cell.optimizer.name).start(parameters)
    buffers = {name: state[name] for name in arch.buffers}
    unmeasured, none = [math.nan] * len(records), [0] * len(records)
    return PackState(list(records), parameters, buffers, memory, curvature=unmeasured, products=none)
