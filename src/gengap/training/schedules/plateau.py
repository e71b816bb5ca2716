"""Drops when train accuracy stops rising: Song (2019), chapter 3, in the manner of `ReduceLROnPlateau`."""

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": "Multiply by `factor` when train accuracy has not risen by `threshold` for `patience` epochs.",
    "reads": ("factor", "patience", "threshold", "max_drops"),
}


def decide(settings: Schedule, epochs: int, done: int, accuracies: Accuracies) -> Decision:
    """Drop after `patience` epochs without a rise of at least `threshold`; stop at the plateau after the last drop.

    Args:
        settings: `patience` [epochs], `threshold` [fraction], `factor`, `max_drops`.
        epochs: Not read.
        done: Not read; the accuracies tell.
        accuracies: Train accuracy so far.
    """
    drops, best, since = 0, float("-inf"), 0
    for epoch, accuracy in accuracies:
        if accuracy >= best + settings.threshold:
            best, since = accuracy, epoch
        elif epoch - since >= settings.patience:
            if drops == settings.max_drops:
                return Decision(settings.factor**drops, stop=True)
            drops, since = drops + 1, epoch
    return Decision(settings.factor**drops)
