"""Glorot's normal initialisation: Glorot and Bengio (2010), equation 12, in its normal form."""

import torch
from torch import nn

from gengap.inits import reset_biases_and_batchnorm, weight_layers

PART = {
    "summary": "Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010).",
}


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Weights normal with variance 2 / (fan_in + fan_out); biases 0; BatchNorm 1 and 0."""
    for _, layer in weight_layers(network):
        nn.init.xavier_normal_(layer.weight, generator=generator)
    reset_biases_and_batchnorm(network)
