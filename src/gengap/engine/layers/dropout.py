"""Dropout as part of a network's state: which values are kept is drawn outside and passed with the weights.

So a network stays a function of its state, and what a cell drops depends on neither its pack nor a compiler.
"""

import copy

import torch
from torch import Tensor, nn


class MaskedDropout(nn.Module):
    """x / (1 - p) where kept, else 0: `nn.Dropout` (Srivastava et al. 2014) with its draws given."""

    kept: Tensor

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.register_buffer("kept", torch.ones((), dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, ...]``; `kept` is of the same shape."""
        return x * self.kept / (1 - self.p)


def masked(network: nn.Module) -> nn.Module:
    """A copy of a module in training mode whose dropout layers take their draws from buffers; itself without any."""
    if not any(isinstance(layer, nn.Dropout) for layer in network.modules()):
        return network
    network = copy.deepcopy(network)
    _convert(network)
    return network


def places(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, tuple[torch.Size, float]]:
    """What a masked network drops.

    Args:
        network: From `masked`; on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.

    Returns:
        Names of buffers, each with the shape of one sample's values and the share that is dropped; in order of use.
    """
    found: dict[str, tuple[torch.Size, float]] = {}
    probe = copy.deepcopy(network)
    for name, layer in probe.named_modules():
        if isinstance(layer, MaskedDropout):
            layer.register_forward_pre_hook(
                lambda layer, inputs, name=name: found.__setitem__(f"{name}.kept", (inputs[0].shape[1:], layer.p))
            )
    if any(isinstance(layer, MaskedDropout) for layer in probe.modules()):
        with torch.no_grad():
            probe(torch.zeros(2, *image_shape, device="meta"))
    return found


def _convert(network: nn.Module) -> None:
    for name, layer in network.named_children():
        if isinstance(layer, nn.Dropout):
            setattr(network, name, MaskedDropout(layer.p))
        else:
            _convert(layer)
