"""Dropout as part of a network's state: which values are kept is drawn outside and passed with the weights.

So a network stays a function of its state, and what a cell drops depends on neither its pack nor a compiler.
"""

import copy

import torch
from torch import Tensor, nn

from gengap.engine.layers.modules import has_module, input_shapes, replace_modules


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
    if not has_module(network, nn.Dropout):
        return network
    return replace_modules(
        copy.deepcopy(network), lambda _, layer: MaskedDropout(layer.p) if isinstance(layer, nn.Dropout) else None
    )


def buffer_shapes(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, tuple[torch.Size, float]]:
    """What a masked network drops.

    Args:
        network: From `masked`; on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.

    Returns:
        Names of buffers, each with the shape of one sample's values and the share that is dropped; in order of use.
    """
    if not has_module(network, MaskedDropout):
        return {}
    shapes = input_shapes(network, MaskedDropout, image_shape)
    return {f"{name}.kept": (shape, _share(network.get_submodule(name))) for name, shape in shapes.items()}


def _share(layer: nn.Module) -> float:
    assert isinstance(layer, MaskedDropout)
    return layer.p
