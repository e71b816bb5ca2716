"""Up and down along straight lines, again and again: Smith (2017), arXiv:1506.01186, policy "triangular".

With ``amplitude_factor: 0.5`` it is "triangular2". As in `torch.optim.lr_scheduler.CyclicLR`, the rate changes with
every step.
"""

from gengap.studies.settings import Schedule
from gengap.training.schedules import Accuracies, Decision

PART = {
    "summary": "Straight lines from 1 up to `peak` and back, with every step (Smith 2017).",
    "options": {
        "half_cycle": {"type": "float", "default": 4.0, "gt": 0, "meaning": "Epochs from the lowest rate to a peak."},
        "peak": {"type": "float", "default": 4.0, "ge": 1, "meaning": "Largest multiplier of the learning rate."},
        "amplitude_factor": {
            "type": "float",
            "default": 1.0,
            "gt": 0,
            "le": 1,
            "meaning": "Multiplier of a cycle's height over the one before; 0.5 is triangular2.",
        },
    },
}
EVERY_STEP = True


def decide(settings: Schedule, epochs: int, done: float, accuracies: Accuracies) -> Decision:
    """Rise from 1 to `peak` in `half_cycle` epochs, and fall back in as many.

    Args:
        settings: `half_cycle` [epochs], `peak`, `amplitude_factor`.
        epochs: Not read.
        done: Epochs finished, with the part of the present one.
        accuracies: Not read.
    """
    cycle, within = divmod(done / settings.half_cycle, 2)
    height = (settings.peak - 1) * settings.amplitude_factor**cycle
    return Decision(1 + height * (1 - abs(within - 1)))
