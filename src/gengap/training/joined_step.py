"""A step on a few long tensors, where `gengap.training.step` has one for every layer.

A network of ten layers has a hundred tensors of some dozen numbers. Calling a function with all of them, and writing
each, takes as long as training one small network does.
"""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from gengap import registry
from gengap.engine.fused import passes
from gengap.engine.fused.program import Program
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell
from gengap.training import masks, tensor_tree
from gengap.training.step import NetworkState, Step

ALL = "all"  # name of joined tensors


def can_join(cell: Cell) -> bool:
    """Whether every number of the networks moves by itself, so that it does not matter which tensor holds it.

    Args:
        cell: Any cell of the pack.
    """
    elementwise = getattr(registry.load("optimizer", cell.optimizer.name), "ELEMENTWISE", False)
    return elementwise and cell.training.subspace is None


class AnyLayout(Protocol):
    """How networks are joined.

    Attributes:
        are_views: Whether what `split` gives changes when the joined networks do.
    """

    are_views: bool

    def join(self, networks: NetworkState) -> NetworkState:
        """Joined copies of the networks' tensors."""

    def split(self, joined: NetworkState) -> NetworkState:
        """The same networks by name."""


class Layout:
    """Where a network's numbers are in joined tensors.

    Parameters and what an optimiser keeps of each are ``[K, n_weights]``, in the program's order. Running means and
    variances are ``[K, 2, n_features]``. Everything else keeps its name. Masks are filled up with ones to all
    parameters.

    Args:
        arch: Of the networks.
        program: Of the same.

    Attributes:
        n_features: Of every BatchNorm.
    """

    are_views = True

    def __init__(self, arch: Architecture, program: Program) -> None:
        self._arch, self._program = arch, program
        self._shapes = {name: value.shape for name, value in arch.training.named_parameters()}
        self._statistics = {f"{norm}.running_{kind}" for norm in program.norms for kind in ("mean", "var")}
        self.n_features = [arch.training.get_buffer(f"{norm}.running_mean").numel() for norm in program.norms]

    def join(self, networks: NetworkState) -> NetworkState:
        """Joined copies of the networks' tensors."""
        parameters, buffers, optimizer_state = networks
        others = {name: value.clone() for name, value in buffers.items() if name not in self._statistics}
        return NetworkState(
            {ALL: passes.joined(self._program, parameters)},
            {ALL: self.joined_statistics(buffers), **others} if self._statistics else others,
            {kind: self._joined_kind(kind, part, parameters) for kind, part in optimizer_state.items()},
        )

    def split(self, joined: NetworkState) -> NetworkState:
        """The same networks by name: views of joined tensors, and what was not joined."""
        parameters, buffers, optimizer_state = joined
        others = {name: value for name, value in buffers.items() if name != ALL}
        named = {**self.split_statistics(buffers[ALL]), **others} if self._statistics else others
        return NetworkState(
            self.split_weights(parameters[ALL]),
            {name: named[name] for name in self._arch.buffers},
            {
                kind: self.split_weights(part[ALL]) if part.keys() == {ALL} else part
                for kind, part in optimizer_state.items()
            },
        )

    def split_weights(self, flat: Tensor) -> State:
        """A number for every weight ``[K, n_weights]`` by the parameters' names: views."""
        return passes.apart(self._program, flat, self._shapes)

    def joined_statistics(self, buffers: State) -> Tensor:
        """Running means and variances of all BatchNorms, ``[K, 2, n_features]``."""
        kinds = (
            torch.cat([buffers[f"{norm}.running_{kind}"] for norm in self._program.norms], dim=1)
            for kind in ("mean", "var")
        )
        return torch.stack(list(kinds), dim=1)

    def split_statistics(self, joined: Tensor) -> State:
        """The same by name: views."""
        return {
            f"{norm}.running_{kind}": part
            for row, kind in enumerate(("mean", "var"))
            for norm, part in zip(self._program.norms, joined[:, row].split(self.n_features, dim=1), strict=True)
        }

    def _joined_kind(self, kind: str, part: State, parameters: State) -> State:
        """One kind of what an optimiser keeps: of every parameter, or a count of steps."""
        if kind == masks.MASK:  # of some parameters
            part = masks.ones(parameters, tuple(parameters)) | part
        if part.keys() == parameters.keys():
            return {ALL: passes.joined(self._program, part)}
        return {name: value.clone() for name, value in part.items()}


class JoinedStep:
    """A `Step` that keeps the networks joined, and gives them by name.

    As `gengap.training.compilation.Owner`, it owns their tensors, so the next call overwrites what this one returns.
    Where the layout gives no views, what it returns is up to date after `settle`.

    Args:
        step: A step of joined networks.
        layout: Of these.
        prepare: What is done to the function that moves the networks in place before it is called, such as compiling.
    """

    def __init__(self, step: Step, layout: AnyLayout, prepare: Callable[[Any], Any] | None = None) -> None:
        self._step, self._layout = step, layout
        update = functools.partial(update_in_place, step)
        self._update = update if prepare is None else prepare(update)
        self._joined: NetworkState | None = None
        self._named: NetworkState | None = None
        self._is_late = False

    def prepared(self, prepare: Callable[[Any], Any]) -> "JoinedStep":
        """The same step, prepared."""
        return JoinedStep(self._step, self._layout, prepare)

    def __call__(self, networks: NetworkState, *others: Any) -> tuple[NetworkState, Tensor]:
        """See `gengap.training.step.make_step`."""
        if networks is not self._named:
            self.settle()  # what it returned before may still be read
            joined = self._layout.join(networks)
            self._named, self._joined = self._layout.split(joined), joined
        (loss,) = self._update(self._joined, *others)
        self._is_late = not self._layout.are_views
        assert self._named is not None
        return self._named, loss

    def settle(self) -> None:
        """Bring what the last call returned up to date."""
        if self._is_late:
            assert self._joined is not None
            tensor_tree.write(self._named, self._layout.split(self._joined))
            self._is_late = False


def update_in_place(step: Step, networks: Any, *others: Any) -> tuple[Tensor]:
    """The step's losses; the networks after it are written over those before it."""
    new, loss = step(networks, *others)
    tensor_tree.write(networks, new)
    return (loss,)
