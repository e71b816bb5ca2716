"""Stochastic gradient descent that divides each node's incoming weights by their norm after every step.

As in the code of Tian et al. (2019), arXiv:1905.13405, with the option to normalise.
"""

from torch import Tensor

from gengap.engine.stack import State
from gengap.studies.settings import Optimizer
from gengap.training.optimizers import OptimizerState, sgd

PART = {
    "summary": "sgd, after whose steps each node's incoming weights have norm 1 (Luck Matters 2019).",
    "reads": ("lr", "momentum", "nesterov", "weight_decay"),
}

HYPERPARAMETERS = sgd.HYPERPARAMETERS
start = sgd.start
_TINY = 1e-12  # a row of zeros stays one


def step(
    parameters: State,
    gradients: State,
    optimizer_state: OptimizerState,
    hyperparameters: dict[str, Tensor],
    settings: Optimizer,
) -> tuple[State, OptimizerState]:
    """One step of every network; see `gengap.training.optimizers`. Momentum is kept as `sgd` has it.

    The row of a unit or a filter and its bias are divided by the row's Euclidean norm, outputs included; BatchNorm's
    scales and shifts are not rows, and stay.
    """
    moved, optimizer_state = sgd.step(parameters, gradients, optimizer_state, hyperparameters, settings)
    normalised = dict(moved)
    for name, value in moved.items():
        layer, _, kind = name.rpartition(".")
        if kind != "weight" or value.dim() < 3:  # [K, out, in, ...]; BatchNorm's scales are [K, channels]
            continue
        norms = value.flatten(2).norm(dim=2).clamp(min=_TINY)
        normalised[name] = value / norms.view(*norms.shape, *[1] * (value.dim() - 2))
        if f"{layer}.bias" in moved:
            normalised[f"{layer}.bias"] = moved[f"{layer}.bias"] / norms
    return normalised, optimizer_state
