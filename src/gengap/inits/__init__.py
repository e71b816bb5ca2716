"""Initialisation rules, each a function on a module; a new one is one file with `initialise` and one registry line."""

import torch
from torch import nn

from gengap import registry


def initialise(network: nn.Module, name: str, generator: torch.Generator) -> None:
    """Set the initial weights of a network, in place.

    Args:
        network: Any module; its convolutions, linear and BatchNorm layers are set.
        name: Registered rule.
        generator: The source of randomness, on the CPU.
    """
    with torch.no_grad():
        registry.load("init", name).initialise(network, generator)


def weight_layers(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    """The convolutions and linear layers, in the order in which the network declares them."""
    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def reset_biases_and_batchnorm(network: nn.Module) -> None:
    """Biases 0; BatchNorm scale 1, shift 0."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) and layer.affine:
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
