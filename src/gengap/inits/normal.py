"""Every parameter normal, by default standard normal: Song's teacher (Song 2019, appendix A)."""

import torch
from torch import nn

from gengap.studies.settings import Init

PART = {
    "summary": "Every parameter normal with mean 0, BatchNorm's and biases included.",
    "options": {
        "std": {"type": "float", "default": 1.0, "gt": 0, "meaning": "Standard deviation of every parameter."},
    },
}


def initialise(network: nn.Module, settings: Init, generator: torch.Generator) -> None:
    """Draw weights, biases and BatchNorm's scale and shift from N(0, `std`^2)."""
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=settings.std, generator=generator)
