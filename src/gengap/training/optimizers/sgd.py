"""Stochastic gradient descent with momentum, step for step as `torch.optim.SGD` without dampening.

The state starts at zero, which gives PyTorch's first step too: its buffer starts as the first gradient.
"""

from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import OptimizerState, per_cell

PART = {
    "summary": "Stochastic gradient descent, with momentum as in torch.optim.SGD.",
    "reads": ("lr", "momentum", "nesterov", "weight_decay"),
}

HYPERPARAMETERS = ("lr", "momentum", "weight_decay")


def start(parameters: State) -> OptimizerState:
    """Momentum 0 for every parameter."""
    return {"momentum": {name: value.new_zeros(value.shape) for name, value in parameters.items()}}


def step(
    parameters: State,
    gradients: State,
    optimizer_state: OptimizerState,
    hyperparameters: dict[str, Tensor],
    settings: Optimizer,
) -> tuple[State, OptimizerState]:
    """One step of every network; see `gengap.training.optimizers`. Of the settings, `nesterov` is read."""
    new_parameters, new_momentum = {}, {}
    for name, value in parameters.items():
        gradient = gradients[name] + per_cell(hyperparameters["weight_decay"], value) * value
        momentum = per_cell(hyperparameters["momentum"], value)
        velocity = momentum * optimizer_state["momentum"][name] + gradient
        direction = gradient + momentum * velocity if settings.nesterov else velocity
        new_parameters[name] = value - per_cell(hyperparameters["lr"], value) * direction
        new_momentum[name] = velocity
    return new_parameters, {"momentum": new_momentum}
