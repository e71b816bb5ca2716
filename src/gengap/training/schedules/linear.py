"""A straight line from the initial rate to the final one, as `torch.optim.lr_scheduler.LinearLR` by epochs."""

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": "A straight line from 1 to `final` over `training.epochs`.",
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
    return Decision(1 + (settings.final - 1) * done / epochs)
