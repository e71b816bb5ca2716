"""He's normal initialisation, gain for ReLU: He et al. (2015), arXiv:1502.01852, equations 10 and 14."""

import torch
from torch import nn

from gengap.inits import reset_biases_and_batchnorm, weight_layers
from gengap.studies.settings import Init

PART = {
    "summary": "Normal with variance 2 / fan_in, biases 0 (He et al. 2015).",
    "options": {
        "mode": {
            "choices": ("fan_in", "fan_out"),
            "default": "fan_in",
            "meaning": "Whose variance is kept from layer to layer: fan_in, the activations'; fan_out, the gradients'.",
        },
    },
}


def initialise(network: nn.Module, settings: Init, generator: torch.Generator) -> None:
    """Weights normal with variance 2 / fan_in, or with `mode` 2 / fan_out; biases 0; BatchNorm 1 and 0."""
    for _, layer in weight_layers(network):
        nn.init.kaiming_normal_(layer.weight, mode=settings.mode, nonlinearity="relu", generator=generator)
    reset_biases_and_batchnorm(network)
