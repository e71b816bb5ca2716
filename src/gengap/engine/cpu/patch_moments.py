"""Statistics behind a convolution of the images themselves, without running it: those of what it reads are enough.

What it makes is a linear function of the patches under its kernel, so that its mean over all images and places is
w.m + b and its variance w.Cw, with the patches' mean m and covariance C, which all networks share.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gengap.engine.cpu import library
from gengap.engine.stack import State


class Known(NamedTuple):
    """A BatchNorm of what a convolution makes of the images.

    Attributes:
        norm: Its name.
        layer: The convolution's name.
        shape: The convolution's, as the struct `Shape` of `maps.h`.
        folded: Whether the convolution normalises as well.
    """

    norm: str
    layer: str
    shape: tuple[int, ...]
    folded: bool


def statistics(known: Known, state: State, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of what a convolution makes, over all images and places.

    Args:
        known: Which.
        state: Stacked; `<layer>.weight` and `<layer>.bias` of the convolution are read.
        images: ``[N, C, H, W]``, float32, contiguous, where `library.runs`.

    Returns:
        Both ``[K, features]``, float64.
    """
    mean, covariance = _moments(images, known.shape)
    weight = state[f"{known.layer}.weight"].flatten(2).double()
    means = weight @ mean + state[f"{known.layer}.bias"].double()
    return means, ((weight @ covariance) * weight).sum(dim=2).clamp(min=0)


def normalised(known: Known, state: State, mean: Tensor, variance: Tensor) -> State:
    """The numbers of the layer that normalises by these statistics.

    Args:
        known: Which.
        state: Stacked, with weights and biases of the convolution and the BatchNorm.
        mean: ``[K, features]``, float64, of what the convolution makes.
        variance: The same, plus what BatchNorm adds to it.

    Returns:
        Weight and bias of the BatchNorm's scale and shift, or of the convolution that does both, float32.
    """
    scale = state[f"{known.norm}.weight"] / variance.sqrt()
    if not known.folded:
        shift = state[f"{known.norm}.bias"] - mean * scale
        return {f"{known.norm}.weight": scale.float(), f"{known.norm}.bias": shift.float()}
    weight = state[f"{known.layer}.weight"] * scale[..., None, None, None]
    bias = (state[f"{known.layer}.bias"] - mean) * scale + state[f"{known.norm}.bias"]
    return {f"{known.layer}.weight": weight.float(), f"{known.layer}.bias": bias.float()}


def _moments(images: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean ``[T]`` and covariance ``[T, T]`` of the patches under a kernel of T numbers, float64."""
    kernel_height, kernel_width = shape[6:8]
    size = images.shape[1] * kernel_height * kernel_width
    totals = torch.empty(size + 1, size + 1, dtype=torch.float64)
    sizes = (*images.shape[:2], images.shape[2] * images.shape[3])
    library.call("gengap_patches", images, totals, shape, sizes)
    totals /= totals[-1, -1].clone()
    mean = totals[-1, :-1]
    return mean, totals[:-1, :-1] - torch.outer(mean, mean)
