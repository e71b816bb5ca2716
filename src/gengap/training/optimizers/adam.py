"""Adam (Kingma and Ba 2015), step for step as `torch.optim.Adam`: the L2 penalty is part of the gradient."""

import torch
from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import OptimizerState, per_cell

PART = {
    "summary": "Adam as in torch.optim.Adam (Kingma and Ba 2015).",
    "reads": ("lr", "beta1", "beta2", "eps", "weight_decay"),
}

HYPERPARAMETERS = ("lr", "beta1", "beta2", "eps", "weight_decay")
ELEMENTWISE = True
EPS = 1e-8


def start(parameters: State) -> OptimizerState:
    """Both averages 0, and no step done by any network."""
    first = next(iter(parameters.values()))
    return {
        "mean": {name: torch.zeros_like(value) for name, value in parameters.items()},
        "square": {name: torch.zeros_like(value) for name, value in parameters.items()},
        # A count per network, because a Python number would be recompiled at every step.
        "count": {"steps": first.new_zeros(len(first))},
    }


def step(
    parameters: State,
    gradients: State,
    optimizer_state: OptimizerState,
    hyperparameters: dict[str, Tensor],
    settings: Optimizer,
) -> tuple[State, OptimizerState]:
    """One step of every network; see `gengap.training.optimizers`."""
    beta1, beta2 = hyperparameters["beta1"], hyperparameters["beta2"]
    steps = optimizer_state["count"]["steps"] + 1
    # The averages start at 0; these factors undo their bias towards it.
    rate = hyperparameters["lr"] / (1 - beta1**steps)
    unbias = (1 - beta2**steps).rsqrt()
    new_parameters, mean, square = {}, {}, {}
    for name, value in parameters.items():
        gradient = gradients[name] + per_cell(hyperparameters["weight_decay"], value) * value
        mean[name] = torch.lerp(gradient, optimizer_state["mean"][name], per_cell(beta1, value))
        square[name] = torch.lerp(gradient.square(), optimizer_state["square"][name], per_cell(beta2, value))
        scale = square[name].sqrt() * per_cell(unbias, value) + per_cell(hyperparameters["eps"], value)
        new_parameters[name] = value - per_cell(rate, value) * mean[name] / scale
    return new_parameters, {"mean": mean, "square": square, "count": {"steps": steps}}
