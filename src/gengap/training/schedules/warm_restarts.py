"""Half a cosine again and again, each cycle longer: Loshchilov and Hutter (2017), arXiv:1608.03983, equation 5.

As `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts` with fractions of epochs: the rate changes with every step.
"""

import math

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": "Half a cosine from 1 to `final`, then 1 again, with every step (SGDR, Loshchilov and Hutter 2017).",
    "reads": ("final",),
    "options": {
        "first_cycle": {"type": "int", "default": 10, "ge": 1, "meaning": "Epochs of the first cycle."},
        "cycle_factor": {
            "type": "int",
            "default": 2,
            "ge": 1,
            "meaning": "Length of a cycle over that of the one before.",
        },
    },
}
EVERY_STEP = True


def decide(settings: Schedule, epochs: int, done: float, accuracies: Accuracies) -> Decision:
    """Fall from 1 to `final` within every cycle; a new one starts at 1.

    Args:
        settings: `first_cycle` [epochs], `cycle_factor`, and `final`, the multiplier at a cycle's end.
        epochs: Not read.
        done: Epochs finished, with the part of the present one.
        accuracies: Not read.
    """
    length: int = settings.first_cycle
    while done >= length:
        done, length = done - length, length * settings.cycle_factor
    share = (1 + math.cos(math.pi * done / length)) / 2
    return Decision(settings.final + (1 - settings.final) * share)
