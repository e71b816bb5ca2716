"""Half a cosine from the initial rate to the final one, as `torch.optim.lr_scheduler.CosineAnnealingLR` by epochs."""

import math

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": "Half a cosine from 1 to `final` over `training.epochs`.",
    "reads": ("final",),
}


def decide(settings: Schedule, epochs: int, done: int, accuracies: Accuracies) -> Decision:
    """Fall from 1 to `final` over the cell's budget.

    Args:
        settings: `final` is the last multiplier, reached when all epochs are done.
        epochs: The cell's budget.
        done: Epochs finished.
        accuracies: Not read.
    """
    share = (1 + math.cos(math.pi * done / epochs)) / 2
    return Decision(settings.final + (1 - settings.final) * share)
