"""He's normal initialisation, fan-in, gain for ReLU: He et al. (2015), arXiv:1502.01852, equation 10."""

import torch
from torch import nn

from gengap.inits import reset_biases_and_batchnorm, weight_layers

PART = {
    "summary": "Normal with variance 2 / fan_in, biases 0 (He et al. 2015).",
}


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Weights normal with variance 2 / fan_in; biases 0; BatchNorm 1 and 0."""
    for _, layer in weight_layers(network):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    reset_biases_and_batchnorm(network)
