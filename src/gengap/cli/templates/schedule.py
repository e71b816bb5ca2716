"""The rate falls by half again and again: replace this by one sentence on NAME and its paper."""

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": "Half the learning rate after every `half_life` epochs, smoothly.",
    "options": {
        "half_life": {"type": "float", "default": 10.0, "gt": 0, "meaning": "Epochs after which the rate is halved."},
    },
}


def decide(settings: Schedule, epochs: int, done: int, accuracies: Accuracies) -> Decision:
    """Multiply by 1/2 to the power of `done` / `half_life`.

    Args:
        settings: `half_life` [epochs].
        epochs: Not read.
        done: Epochs finished.
        accuracies: Not read.
    """
    return Decision(0.5 ** (done / settings.half_life))
