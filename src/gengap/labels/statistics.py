"""Statistics of what enters each BatchNorm layer over all images, in float64 and in chunks."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 4096  # images at a time

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class Moments:
    """Mean and biased variance per channel of inputs that come in pieces (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Any = 0.0
        self.squares: Any = 0.0

    def add(self, x: Tensor) -> None:
        """Take in ``[N, C, ...]``."""
        dims = [0, *range(2, x.dim())]
        count = x.numel() // x.shape[1]
        var, mean = torch.var_mean(x, dim=dims, correction=0)
        total = self.count + count
        step = mean - self.mean
        self.mean = self.mean + step * (count / total)
        self.squares = self.squares + var * count + step**2 * (self.count * count / total)
        self.count = total

    @property
    def var(self) -> Tensor:
        """Biased variance, with which BatchNorm normalises."""
        var: Tensor = self.squares / self.count
        return var


@torch.no_grad()
def all_outputs(network: nn.Module, images: Tensor) -> Tensor:
    """Outputs ``[N, n_outputs]`` of a float64 network, in the mode that it is in."""
    return torch.cat([network(chunk.double()) for chunk in images.split(CHUNK)])


def outputs(network: nn.Module, images: Tensor) -> Tensor:
    """Outputs ``[N]`` of a network with one output."""
    return all_outputs(network, images).squeeze(1)


def batchnorm_layers(network: nn.Module) -> dict[str, BatchNorm]:
    """BatchNorm layers by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, BatchNorm)}


def input_moments(network: nn.Module, images: Tensor, layers: Iterable[nn.Module]) -> dict[nn.Module, Moments]:
    """Moments of the inputs of some layers, in one pass, in the order in which the network calls them."""
    moments: dict[nn.Module, Moments] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        moments.setdefault(layer, Moments()).add(inputs[0])

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        outputs(network, images)
    finally:
        for handle in handles:
            handle.remove()
    return moments


def calibrate(network: nn.Module, images: Tensor) -> None:
    """Give every BatchNorm layer the statistics of all images, in place.

    Layer by layer, in the order of the computation: each one's input is normalised with the statistics of the layers
    before it, so that the result is that of one batch with all images, for any number of images.
    """
    network.eval()
    layers = batchnorm_layers(network).values()
    measure = partial(input_moments, network)
    for layer in list(measure(images[:1], layers)):
        moments = measure(images, [layer])[layer]
        layer.get_buffer("running_mean").copy_(moments.mean)
        layer.get_buffer("running_var").copy_(moments.var)
