"""The input and the results of a probe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from gengap.engine.objective import Objective
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell, Loss
from gengap.studies.study import Probe

BATCH_SIZE = 1000  # images per call; in BatchNorm mode `batch`, also what shares its statistics


@dataclass(frozen=True)
class Teacher:
    """The network that labelled the data.

    Attributes:
        arch: Its architecture.
        state: Its weights as a stack of one, ``[1, ...]``; to be run in evaluation mode.
    """

    arch: Architecture
    state: State


@dataclass(frozen=True)
class ProbeContext:
    """Networks of one architecture, to be measured together.

    Attributes:
        arch: Their architecture.
        state: Stacked state ``[K, ...]``, its running statistics those of the BatchNorm mode.
        start: The same networks before training, stacked in the same order.
        batchnorm: ``running``, ``batch`` or ``exact``.
        loss: Their loss.
        cells: Settings of each network.
        train_images: ``[N, C, H, W]``.
        train_targets: ``[N]``, as the loss wants them.
        test_images: ``[M, C, H, W]``.
        test_targets: ``[M]``.
        options: The study's options for this probe.
        measured_at: Epoch of each checkpoint, ``[K]``.
        epochs: Epochs at which all of these cells were saved, ascending from 0.
        saved: The K networks' weights at one of `epochs`, with the running averages of that time; at infinity, every
            network's last, whose epochs may differ.
        teacher: The network that labelled the data, if one did.
        test_labels: Labels of the test images, int64 ``[M]``, whatever the loss wants as targets; None where they are
            not known.
        test_sets: Further test images and targets by name, of label rules that make some.
        pixel_scale: Mean and standard deviation of each channel with which pixels were standardised, ``[C]`` both; None
            where that is not known.
    """

    arch: Architecture
    state: State
    start: State
    batchnorm: str
    loss: Loss
    cells: tuple[Cell, ...]
    train_images: Tensor
    train_targets: Tensor
    test_images: Tensor
    test_targets: Tensor
    options: Probe
    measured_at: tuple[float, ...]
    epochs: tuple[float, ...]
    saved: Callable[[float], State]
    teacher: Teacher | None = None
    test_labels: Tensor | None = None
    test_sets: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    pixel_scale: tuple[Tensor, Tensor] | None = None

    @property
    def network(self) -> nn.Module:
        """The module that computes outputs in this BatchNorm mode; dropout is off in every mode."""
        return self.arch.batch if self.batchnorm == "batch" else self.arch.evaluation

    def objective(self, state: State | None = None) -> Objective:
        """The mean loss of the networks over `probe_images`, differentiated through the batch in mode ``batch``.

        Args:
            state: Other networks of this architecture, ``[K, ...]``; by default the context's.
        """
        return Objective(
            self.arch,
            self.state if state is None else state,
            *self.probe_images(),
            self.loss,
            through_batch=self.batchnorm == "batch",
            batch_size=BATCH_SIZE,
        )

    def probe_images(self) -> tuple[Tensor, Tensor]:
        """The first `options.samples` training images and their targets; all if it is null."""
        count = self.options.samples
        return self.train_images[:count], self.train_targets[:count]


def finite(state: State) -> State:
    """Networks in float64, for derivatives at their weights.

    Raises:
        ValueError: If a number is not finite. A clamp in the loss gives not-a-number the derivative 0, so derivatives
            would not tell.
    """
    if not all(value.isfinite().all() for value in state.values()):
        raise ValueError("the weights are not finite numbers, so there is nothing to measure near them")
    return {name: value.detach().double() for name, value in state.items()}


@dataclass(frozen=True)
class Measurement:
    """One quantity of all networks.

    Attributes:
        quantity: A name from `gengap.quantities`.
        values: One value per network, ``[K]``; or an array per network, ``[K, *dims]``.
        layer: The layer it belongs to; empty for the whole network.
        dims: For an array, what its dimensions after the first are, e.g. ``("eigenvalue",)``.
    """

    quantity: str
    values: Tensor
    layer: str = ""
    dims: tuple[str, ...] = ()


Measure = Callable[[ProbeContext], list[Measurement]]
