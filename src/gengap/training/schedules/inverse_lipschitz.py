"""The reciprocal of the loss's curvature: Song (2019), chapter 3, section 'Hessian'."""

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": (
        "`optimizer.lr` divided by L, the largest eigenvalue of the loss's Hessian, measured as training "
        "goes on (Song 2019)."
    ),
    "reads": ("refresh_steps", "max_lr"),
}


def decide(settings: Schedule, epochs: int, done: int, accuracies: Accuracies) -> Decision:
    """Divide `optimizer.lr` by L, the largest eigenvalue of the Hessian, which the loop measures as training goes on.

    Args:
        settings: `refresh_steps` and `max_lr`, read by `gengap.training.learning_rates`.
        epochs: Not read.
        done: Not read.
        accuracies: Not read.
    """
    return Decision(over_curvature=True)
