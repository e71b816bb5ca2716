"""What a probe is given, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from gengap.engine.stack import Architecture, State
from gengap.settings import Cell, Loss

BATCH_SIZE = 1000  # images per call; in BatchNorm mode `batch`, also what shares its statistics


@dataclass(frozen=True)
class Subject:
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


@dataclass(frozen=True)
class Measured:
    """One quantity of all networks.

    Attributes:
        quantity: A name from `gengap.quantities`.
        values: One value per network, ``[K]``.
        layer: The layer it belongs to; empty for the whole network.
    """

    quantity: str
    values: Tensor
    layer: str = ""


Measure = Callable[[Subject], list[Measured]]
