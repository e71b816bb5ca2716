"""Replacing modules of a network, and recording their inputs while it runs."""

import copy
from collections.abc import Callable

import torch
from torch import nn


def replace_modules(network: nn.Module, replacement: Callable[[str, nn.Module], nn.Module | None]) -> nn.Module:
    """Replace modules within a network, in place, and return it.

    Args:
        network: The network; it is not replaced itself.
        replacement: From a module's name and the module to the one that takes its place, or to None, which keeps it
            and goes on with the modules within it.
    """

    def descend(parent: nn.Module, prefix: str) -> None:
        for name, module in parent.named_children():
            new = replacement(prefix + name, module)
            if new is None:
                descend(module, f"{prefix}{name}.")
            else:
                setattr(parent, name, new)

    descend(network, "")
    return network


def has_module(network: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a network has a module of a kind."""
    return any(isinstance(module, kind) for module in network.modules())


def input_shapes(network: nn.Module, kind: type[nn.Module], image_shape: tuple[int, ...]) -> dict[str, torch.Size]:
    """The shape of one sample's input to every module of a kind, by name, in the order in which they run.

    Args:
        network: On the meta device, so nothing is computed.
        kind: Their class.
        image_shape: ``(channels, height, width)`` of one image.
    """
    shapes: dict[str, torch.Size] = {}
    network = copy.deepcopy(network)
    for name, module in network.named_modules():
        if isinstance(module, kind):
            module.register_forward_pre_hook(lambda _, inputs, name=name: shapes.__setitem__(name, inputs[0].shape[1:]))
    run_without_numbers(network, image_shape)
    return shapes


def run_without_numbers(network: nn.Module, image_shape: tuple[int, ...]) -> torch.Tensor:
    """Run a network that is on the meta device on two images; its hooks see shapes, and nothing is computed."""
    with torch.no_grad():
        output: torch.Tensor = network(torch.zeros(2, *image_shape, device="meta"))
    return output
