"""Orthogonal weights: replace this by one sentence on NAME and its paper."""

import torch
from torch import nn

from gengap.inits import reset_biases_and_batchnorm, weight_layers
from gengap.studies.settings import Init

PART = {
    "summary": "Weights with orthonormal rows or columns, biases 0.",
    "options": {
        "gain": {"type": "float", "default": 1.0, "gt": 0, "meaning": "Multiplier of every weight."},
    },
}


def initialise(network: nn.Module, settings: Init, generator: torch.Generator) -> None:
    """Set the weights in place; BatchNorm 1 and 0.

    Args:
        network: Any module.
        settings: `gain`.
        generator: The source of randomness, on the CPU.
    """
    for _, layer in weight_layers(network):
        nn.init.orthogonal_(layer.weight, gain=settings.gain, generator=generator)
    reset_biases_and_batchnorm(network)
