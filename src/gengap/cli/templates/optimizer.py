"""Steps of one length along each coordinate: replace this by one sentence on NAME and its paper."""

from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import Memory, per_cell

PART = {
    "summary": "The learning rate times the sign of the gradient.",
    "reads": ("lr",),
}

NUMBERS = ("lr",)


def start(parameters: State) -> Memory:
    """Nothing is remembered."""
    return {}


def step(
    parameters: State, gradients: State, memory: Memory, numbers: dict[str, Tensor], settings: Optimizer
) -> tuple[State, Memory]:
    """One step of every network.

    Args:
        parameters: Stacked ``[K, ...]``.
        gradients: Of the data loss, same shapes.
        memory: From `start` or the last step.
        numbers: What `NUMBERS` names, each ``[K]``.
        settings: What the cells share; not read.
    """
    return {
        name: value - per_cell(numbers["lr"], value) * gradients[name].sign() for name, value in parameters.items()
    }, memory
