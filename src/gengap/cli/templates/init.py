"""Orthogonal weights: replace this by one sentence on NAME and its paper."""

import torch
from torch import nn

from gengap.inits import reset_biases_and_batchnorm, weight_layers

PART = {
    "summary": "Weights with orthonormal rows or columns, biases 0.",
}


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Set the weights in place; BatchNorm 1 and 0."""
    for _, layer in weight_layers(network):
        nn.init.orthogonal_(layer.weight, generator=generator)
    reset_biases_and_batchnorm(network)
