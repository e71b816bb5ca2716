"""Drops at fixed epochs, as `torch.optim.lr_scheduler.MultiStepLR`."""

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": "Multiply by `factor` at each of `milestones`, given as fractions of `training.epochs`.",
    "reads": ("factor", "milestones"),
}


def decide(settings: Schedule, epochs: int, done: int, accuracies: Accuracies) -> Decision:
    """Multiply by `factor` once for every milestone reached.

    Args:
        settings: `milestones` are fractions of `epochs`, rounded to whole epochs.
        epochs: The cell's budget.
        done: Epochs finished.
        accuracies: Not read.
    """
    reached = sum(done >= max(1, round(milestone * epochs)) for milestone in settings.milestones)
    return Decision(settings.factor**reached)
