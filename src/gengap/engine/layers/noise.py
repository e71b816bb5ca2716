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
    """max(0, x + noise), or max(0, gain x + noise)."""

    noise: Tensor
    gain: Tensor

    def __init__(self, *, gain: bool = False) -> None:
        super().__init__()
        self.register_buffer("noise", torch.zeros(()))
        self.has_gain = gain
        if gain:
            self.register_buffer("gain", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, ...]``; the noise may lack leading dimensions."""
        return torch.relu(self.disturbed(x))

    def disturbed(self, x: Tensor) -> Tensor:
        """What enters the ReLU."""
        return x * self.gain + self.noise if self.has_gain else x + self.noise


def noisy(network: nn.Module, mode: str) -> nn.Module:
    """A copy of a module in training mode with noise before every ReLU.

    Args:
        network: The module.
        mode: `training.noise_mode`: ``affine`` noise also multiplies.

    Raises:
        UserError: If it has no ReLU that is a module of its own.
    """
    if not has_module(network, nn.ReLU):
        raise UserError("training.noise_std: this model has no ReLU to put noise before. Set it to 0.")

    def replaced(_: str, layer: nn.Module) -> nn.Module | None:
        return NoisyReLU(gain=mode == "affine") if isinstance(layer, nn.ReLU) else None

    return replace_modules(copy.deepcopy(network), replaced)


def buffer_shapes(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, torch.Size]:
    """Where noise enters a noisy network: buffer names with the shape of one sample's pre-activations.

    Args:
        network: From `noisy`; on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.

    Returns:
        ``(channels, height, width)`` after a convolution, ``(units,)`` after a linear layer; in order of use.
    """
    return {f"{name}.noise": shape for name, shape in input_shapes(network, NoisyReLU, image_shape).items()}
