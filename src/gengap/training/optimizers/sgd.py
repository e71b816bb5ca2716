"""Stochastic gradient descent with momentum, step for step as `torch.optim.SGD` without dampening.

The state starts at zero, which gives PyTorch's first step too: its buffer starts as the first gradient.

PyTorch's velocity is a sum of gradients, multiplied by the rate of the present step. Other programs, and many papers,
sum gradients times the rates of their own steps; where the rate changes, the two differ by the momentum correction of
Goyal et al. (2017), arXiv:1706.02677, equations 9 to 11. PyTorch's form is the corrected one.
"""

from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import OptimizerState, per_cell

PART = {
    "summary": "Stochastic gradient descent, with momentum as in torch.optim.SGD.",
    "reads": ("lr", "momentum", "nesterov", "momentum_correction", "weight_decay"),
}

HYPERPARAMETERS = ("lr", "momentum", "weight_decay")
ELEMENTWISE = True


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
    """One step of every network; see `gengap.training.optimizers`.

    Of the settings, `nesterov` and `momentum_correction` are read.
    """
    new_parameters, new_momentum = {}, {}
    for name, value in parameters.items():
        lr, momentum = per_cell(hyperparameters["lr"], value), per_cell(hyperparameters["momentum"], value)
        gradient = gradients[name] + per_cell(hyperparameters["weight_decay"], value) * value
        if not settings.momentum_correction:
            gradient = lr * gradient
        velocity = momentum * optimizer_state["momentum"][name] + gradient
        direction = gradient + momentum * velocity if settings.nesterov else velocity
        new_parameters[name] = value - lr * direction if settings.momentum_correction else value - direction
        new_momentum[name] = velocity
    return new_parameters, {"momentum": new_momentum}
