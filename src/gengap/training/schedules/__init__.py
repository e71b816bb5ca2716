"""Learning-rate schedules, each a pure function of a cell's own past.

Each module has `decide(settings, epochs, done, accuracies)`; a new one is one file with a header. It is asked before
every epoch, with `done` the epochs that are finished; with ``EVERY_STEP = True`` in the module before every step, with
`done` a fraction.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """What holds for the next epoch, or the next step.

    Attributes:
        multiplier: Learning rate divided by its initial value.
        stop: Whether the schedule ends the training.
        over_curvature: Whether the learning rate is divided by the loss's curvature, measured as training goes on.
    """

    multiplier: float = 1.0
    stop: bool = False
    over_curvature: bool = False


Accuracies = Sequence[tuple[int, float]]  # (epochs done, train accuracy), in order
