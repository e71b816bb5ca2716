"""Noise before every ReLU, as part of a network's state: Li, Wei and Ma (2019), in torch.func's terms.

A noisy network is an architecture's own training module whose ReLUs add a buffer to their input. The buffers are
drawn outside and passed with the weights, so the network stays a function of its state.
"""

import copy

import torch
from torch import Tensor, nn

from gengap.engine.stack import Architecture
from gengap.errors import UserError


class NoisyReLU(nn.Module):
    """max(0, x + noise)."""

    noise: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("noise", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, ...]``; the noise may lack leading dimensions."""
        return torch.relu(x + self.noise)


def noisy(arch: Architecture) -> nn.Module:
    """The architecture's training module with noise before every ReLU.

    Raises:
        UserError: If it has no ReLU that is a module of its own.
    """
    network = copy.deepcopy(arch.training)
    _convert(network)
    if not any(isinstance(layer, NoisyReLU) for layer in network.modules()):
        raise UserError("training.noise_std: this model has no ReLU to put noise before. Set it to 0.")
    return network


def places(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, torch.Size]:
    """Where noise enters a noisy network: buffer names with the shape of one sample's pre-activations.

    Args:
        network: From `noisy`; on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.

    Returns:
        ``(channels, height, width)`` behind a convolution, ``(units,)`` behind a linear layer; in order of use.
    """
    found: dict[str, torch.Size] = {}
    probe = copy.deepcopy(network)
    for name, layer in probe.named_modules():
        if isinstance(layer, NoisyReLU):
            layer.register_forward_pre_hook(
                lambda _, inputs, name=name: found.__setitem__(f"{name}.noise", inputs[0].shape[1:])
            )
    with torch.no_grad():
        probe(torch.zeros(2, *image_shape, device="meta"))
    return found


def _convert(network: nn.Module) -> None:
    for name, layer in network.named_children():
        if isinstance(layer, nn.ReLU):
            setattr(network, name, NoisyReLU())
        else:
            _convert(layer)
