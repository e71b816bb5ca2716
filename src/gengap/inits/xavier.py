"""Glorot's normal initialisation: Glorot and Bengio (2010), equation 12, in its normal form."""

import torch
from torch import nn

from gengap.inits import reset_biases_and_batchnorm, weight_layers
from gengap.studies.settings import Init

PART = {
    "summary": "Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010).",
    "options": {
        "gain": {"type": "float", "default": 1.0, "gt": 0, "meaning": "Multiplier of the standard deviation."},
    },
}


def initialise(network: nn.Module, settings: Init, generator: torch.Generator) -> None:
    """Weights normal with variance `gain`^2 2 / (fan_in + fan_out); biases 0; BatchNorm 1 and 0."""
    for _, layer in weight_layers(network):
        nn.init.xavier_normal_(layer.weight, gain=settings.gain, generator=generator)
    reset_biases_and_batchnorm(network)
