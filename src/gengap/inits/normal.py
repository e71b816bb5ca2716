"""Every parameter standard normal: Song's teacher (Song 2019, appendix A)."""

import torch
from torch import nn

PART = {
    "summary": "Every parameter standard normal, BatchNorm's and biases included.",
}


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights, biases and BatchNorm's scale and shift from N(0, 1)."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, generator=generator)
