"""AdamW (Loshchilov and Hutter 2019), step for step as `torch.optim.AdamW`: the weights decay beside the gradient."""

import torch
from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import OptimizerState, adam, per_cell

PART = {
    "summary": (
        "AdamW as in torch.optim.AdamW (Loshchilov and Hutter 2019): every step first multiplies the weights by "
        "1 - `lr` `weight_decay`, and no penalty enters the gradient."
    ),
    "reads": ("lr", "beta1", "beta2", "eps", "weight_decay"),
}

HYPERPARAMETERS = adam.HYPERPARAMETERS
ELEMENTWISE = True
EPS = adam.EPS
start = adam.start


def step(
    parameters: State,
    gradients: State,
    optimizer_state: OptimizerState,
    hyperparameters: dict[str, Tensor],
    settings: Optimizer,
) -> tuple[State, OptimizerState]:
    """One step of every network; see `gengap.training.optimizers`."""
    kept = 1 - hyperparameters["lr"] * hyperparameters["weight_decay"]
    decayed = {name: per_cell(kept, value) * value for name, value in parameters.items()}
    no_penalty = {**hyperparameters, "weight_decay": torch.zeros_like(kept)}
    return adam.step(decayed, gradients, optimizer_state, no_penalty, settings)
