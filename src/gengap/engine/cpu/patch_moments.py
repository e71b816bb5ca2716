"""BatchNorm statistics of a convolution of the images, without running it.

Its output is a linear function of the patches that its kernel reads. So the output's mean over all images and pixels is
w.m + b and its variance w.Cw, with the patches' mean m and covariance C, which all networks share.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from gengap.engine.stack import State


class PatchNorm(NamedTuple):
    """A BatchNorm of a convolution of the images.

    Attributes:
        norm: Its name.
        layer: The convolution's name.
        geometry: The convolution's kernel height and width, stride, padding and dilation.
        folded: Whether the convolution normalises as well.
    """

    norm: str
    layer: str
    geometry: tuple[int, ...]
    folded: bool


def statistics(norm: PatchNorm, state: State, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of the convolution's output, over all images and pixels.

    Args:
        norm: Which.
        state: Stacked; `<layer>.weight` and `<layer>.bias` of the convolution are read.
        images: ``[N, C, H, W]``, float32, where `operators.supports`.

    Returns:
        Both ``[K, features]``, float64.
    """
    mean, covariance = _moments(images, norm.geometry)
    weight = state[f"{norm.layer}.weight"].flatten(2).double()
    means = weight @ mean + state[f"{norm.layer}.bias"].double()
    return means, ((weight @ covariance) * weight).sum(dim=2).clamp(min=0)


def normalised(norm: PatchNorm, state: State, mean: Tensor, variance: Tensor) -> State:
    """The weights of the layer that normalises by these statistics.

    Args:
        norm: Which.
        state: Stacked, with weights and biases of the convolution and the BatchNorm.
        mean: ``[K, features]``, float64, of the convolution's output.
        variance: The same, plus BatchNorm's epsilon.

    Returns:
        Weight and bias of the BatchNorm's scale and shift, or of the convolution that does both, float32.
    """
    scale = state[f"{norm.norm}.weight"] / variance.sqrt()
    if not norm.folded:
        shift = state[f"{norm.norm}.bias"] - mean * scale
        return {f"{norm.norm}.weight": scale.float(), f"{norm.norm}.bias": shift.float()}
    weight = state[f"{norm.layer}.weight"] * scale[..., None, None, None]
    bias = (state[f"{norm.layer}.bias"] - mean) * scale + state[f"{norm.norm}.bias"]
    return {f"{norm.layer}.weight": weight.float(), f"{norm.layer}.bias": bias.float()}


# Of every set of images, until it is freed. One set serves all networks, epochs and checkpoints; its moments cost as
# much as the statistics of five networks of width 4.
_kept = WeakTensorKeyDictionary()


def _moments(images: Tensor, geometry: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean ``[T]`` and covariance ``[T, T]`` of the patches under a kernel of T numbers, float64."""
    of_images = _kept.setdefault(images, {})
    key = (geometry, images._version)  # which counts changes in place
    if key not in of_images:
        sums = torch.ops.gengap.patch_moments(images, *geometry)
        sums /= sums[-1, -1].clone()
        mean = sums[-1, :-1]
        of_images[key] = mean, sums[:-1, :-1] - torch.outer(mean, mean)
    moments: tuple[Tensor, Tensor] = of_images[key]
    return moments
