"""Adagrad (Duchi, Hazan and Singer 2011), step for step as `torch.optim.Adagrad` without decay of the rate."""

import torch
from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import OptimizerState, per_cell

PART = {
    "summary": "Adagrad as in torch.optim.Adagrad (Duchi, Hazan and Singer 2011).",
    "reads": ("lr", "eps", "weight_decay"),
}

HYPERPARAMETERS = ("lr", "eps", "weight_decay")
ELEMENTWISE = True
EPS = 1e-10


def start(parameters: State) -> OptimizerState:
    """Sum of squares 0 for every parameter."""
    return {"sum": {name: torch.zeros_like(value) for name, value in parameters.items()}}


def step(
    parameters: State,
    gradients: State,
    optimizer_state: OptimizerState,
    hyperparameters: dict[str, Tensor],
    settings: Optimizer,
) -> tuple[State, OptimizerState]:
    """One step of every network; see `gengap.training.optimizers`."""
    new_parameters, new_sum = {}, {}
    for name, value in parameters.items():
        gradient = gradients[name] + per_cell(hyperparameters["weight_decay"], value) * value
        new_sum[name] = optimizer_state["sum"][name] + gradient.square()
        scale = new_sum[name].sqrt() + per_cell(hyperparameters["eps"], value)
        new_parameters[name] = value - per_cell(hyperparameters["lr"], value) * gradient / scale
    return new_parameters, {"sum": new_sum}
