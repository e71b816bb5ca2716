"""Initialisation rules, each a function on a module; a new one is one file with a header and `initialise`.

A rule that depends on the data also has `adjust`, which takes one drawn network with its gradient and returns its
initial weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gengap import registry
from gengap.studies.settings import Init

State = dict[str, Tensor]


@dataclass(frozen=True)
class Drawn:
    """One network as `initialise` drew it, for a rule that looks at the data.

    Attributes:
        init: The rule and its options.
        model: The registered name of the model.
        seed: The cell's seed.
        state: Its parameters and buffers by name, float64.
        gradient: From a state to the gradient of the mean training loss by parameter name.
        layers: Its convolutions and linear layers in the order in which they run; the output layer is the last.
        scale_free: Those of them whose weights may be multiplied by any positive number without changing an output,
            up to eps and as long as biases are 0, since BatchNorms follow: by layer, their names.
        output_norms: The BatchNorm layers whose scales the output layer's input is proportional to while their shifts
            are 0; none if something else enters it too.
    """

    init: Init
    model: str
    seed: int
    state: State
    gradient: Callable[[State], State]
    layers: tuple[str, ...]
    scale_free: Mapping[str, tuple[str, ...]]
    output_norms: tuple[str, ...]


@runtime_checkable
class DrawsItself(Protocol):
    """A module with parameters that no rule knows."""

    def draw_parameters(self, generator: torch.Generator) -> None:
        """Set them, in place."""


def initialise(network: nn.Module, settings: Init, generator: torch.Generator) -> None:
    """Set the initial weights of a network, in place.

    Args:
        network: Any module; its convolutions, linear layers and normalisations are set. A module of another kind that
            has parameters draws them in a method ``draw_parameters(generator)``.
        settings: The rule and its options.
        generator: The source of randomness, on the CPU.
    """
    with torch.no_grad():
        registry.load("init", settings.name).initialise(network, settings, generator)
        for layer in network.modules():
            if isinstance(layer, DrawsItself):
                layer.draw_parameters(generator)


def looks_at_data(name: str) -> bool:
    """Whether a registered rule adjusts the weights that it draws to the data."""
    return hasattr(registry.load("init", name), "adjust")


def adjust(drawn: Drawn) -> State:
    """The initial state of a network whose rule `looks_at_data`."""
    state: State = registry.load("init", drawn.init.name).adjust(drawn)
    return state


def weight_layers(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    """The convolutions and linear layers, in the order in which the network declares them."""
    return [(name, layer) for name, layer in network.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def reset_biases_and_batchnorm(network: nn.Module) -> None:
    """Biases 0; scales of normalisations 1, their shifts 0."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            for parameter, start in ((layer.weight, 1.0), (layer.bias, 0.0)):
                if parameter is not None:
                    nn.init.constant_(parameter, start)
