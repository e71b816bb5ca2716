"""Noise before every ReLU, as part of a network's state: Li, Wei and Ma (2019), in torch.func's terms.

A noisy network is an ordinary module whose ReLUs add a buffer to their input. The buffers are
drawn outside and passed with the weights, so the network stays a function of its state.
"""

import copy

import torch
from torch import Tensor, nn

from gengap.engine.layers.modules import has_module, input_shapes, replace_modules
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


def noisy(network: nn.Module) -> nn.Module:
    """A copy of a module in training mode with noise before every ReLU.

    Raises:
        UserError: If it has no ReLU that is a module of its own.
    """
    if not has_module(network, nn.ReLU):
        raise UserError("training.noise_std: this model has no ReLU to put noise before. Set it to 0.")
    return replace_modules(copy.deepcopy(network), lambda _, layer: NoisyReLU() if isinstance(layer, nn.ReLU) else None)


def buffer_shapes(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, torch.Size]:
    """Where noise enters a noisy network: buffer names with the shape of one sample's pre-activations.

    Args:
        network: From `noisy`; on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.

    Returns:
        ``(channels, height, width)`` after a convolution, ``(units,)`` after a linear layer; in order of use.
    """
    return {f"{name}.noise": shape for name, shape in input_shapes(network, NoisyReLU, image_shape).items()}
