"""Adagrad (Duchi, Hazan and Singer 2011), step for step as `torch.optim.Adagrad` without decay of the rate."""

import torch
from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import Memory, per_cell

PART = {
    "summary": "Adagrad as in torch.optim.Adagrad (Duchi, Hazan and Singer 2011).",
    "reads": ("lr", "eps", "weight_decay"),
}

NUMBERS = ("lr", "eps", "weight_decay")
EPS = 1e-10


def start(parameters: State) -> Memory:
    """Sum of squares 0 for every parameter."""
    return {"sum": {name: torch.zeros_like(value) for name, value in parameters.items()}}


def step(
    parameters: State, gradients: State, memory: Memory, numbers: dict[str, Tensor], settings: Optimizer
) -> tuple[State, Memory]:
    """One step of every network.

    Args:
        parameters: Stacked ``[K, ...]``.
        gradients: Of the data loss, same shapes.
        memory: From `start` or the last step.
        numbers: What `NUMBERS` names, each ``[K]``.
        settings: Not read.
    """
    new_parameters, new_sum = {}, {}
    for name, value in parameters.items():
        gradient = gradients[name] + per_cell(numbers["weight_decay"], value) * value
        new_sum[name] = memory["sum"][name] + gradient.square()
        scale = new_sum[name].sqrt() + per_cell(numbers["eps"], value)
        new_parameters[name] = value - per_cell(numbers["lr"], value) * gradient / scale
    return new_parameters, {"sum": new_sum}
