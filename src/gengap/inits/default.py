"""PyTorch's own rule: uniform in +-1/sqrt(fan_in) for weights and biases (`torch.nn.Linear`, `torch.nn.Conv2d`)."""

import math

import torch
from torch import nn

from gengap.inits import reset_biases_and_batchnorm, weight_layers
from gengap.studies.settings import Init

PART = {
    "summary": "PyTorch's own initialisation of each layer.",
}


def initialise(network: nn.Module, settings: Init, generator: torch.Generator) -> None:
    """Weights and biases uniform in +-1/sqrt(fan_in); BatchNorm 1 and 0."""
    reset_biases_and_batchnorm(network)
    for _, layer in weight_layers(network):
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        if layer.bias is not None:
            fan_in = layer.weight[0].numel()
            nn.init.uniform_(layer.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
