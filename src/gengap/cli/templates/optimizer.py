"""Steps of one length along each coordinate: replace this by one sentence on NAME and its paper."""

from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import OptimizerState, per_cell

PART = {
    "summary": "The learning rate times the sign of the gradient.",
    "reads": ("lr",),
}

HYPERPARAMETERS = ("lr",)


def start(parameters: State) -> OptimizerState:
    """Nothing is remembered."""
    return {}


def step(
    parameters: State,
    gradients: State,
    optimizer_state: OptimizerState,
    hyperparameters: dict[str, Tensor],
    settings: Optimizer,
) -> tuple[State, OptimizerState]:
    """One step of every network.

    Args:
        parameters: Stacked ``[K, ...]``.
        gradients: Of the data loss, same shapes.
        optimizer_state: From `start` or the last step.
        hyperparameters: What `HYPERPARAMETERS` names, each ``[K]``.
        settings: What the cells share; not read.
    """
    return {
        name: value - per_cell(hyperparameters["lr"], value) * gradients[name].sign()
        for name, value in parameters.items()
    }, optimizer_state
