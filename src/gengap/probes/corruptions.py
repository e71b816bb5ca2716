"""Corruptions of images: nine of those of CIFAR-10-C, computed here with its constants (Hendrycks and Dietterich 2019).

Left out are those that need photographs or other programs, such as frost and motion blur. Numbers drawn are ours, so
the images are not the published ones, but of the same distribution.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from gengap import seeding

Pixels = NDArray[np.float64]  # [N, C, H, W], from 0 to 1
Corruption = Callable[[Pixels, float, np.random.Generator], Pixels]

SEVERITIES = (1, 2, 3, 4, 5)


def _gaussian_noise(x: Pixels, std: float, generator: np.random.Generator) -> Pixels:
    return x + std * generator.standard_normal(x.shape)


def _shot_noise(x: Pixels, photons: float, generator: np.random.Generator) -> Pixels:
    return generator.poisson(x * photons) / photons


def _impulse_noise(x: Pixels, share: float, generator: np.random.Generator) -> Pixels:
    """Values of pixels, each channel by itself, become 0 or 1."""
    uniform = generator.random(x.shape)
    return np.where(uniform < share / 2, 0.0, np.where(uniform < share, 1.0, x))


def _speckle_noise(x: Pixels, std: float, generator: np.random.Generator) -> Pixels:
    return x + x * std * generator.standard_normal(x.shape)


def _gaussian_blur(x: Pixels, sigma: float, _: np.random.Generator) -> Pixels:
    blurred: Pixels = ndimage.gaussian_filter(x, sigma=(0, 0, sigma, sigma), mode="nearest")
    return blurred


def _brightness(x: Pixels, added: float, _: np.random.Generator) -> Pixels:
    """Of HSV, the value rises: all channels by one factor; what is black becomes grey."""
    value = x.max(axis=1, keepdims=True)
    brighter = np.minimum(value + added, 1)
    result: Pixels = np.where(value > 0, x * brighter / np.where(value > 0, value, 1), brighter)
    return result


def _contrast(x: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    mean = x.mean(axis=(2, 3), keepdims=True)
    shrunk: Pixels = (x - mean) * factor + mean
    return shrunk


def _pixelate(x: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    height, width = x.shape[2:]
    small = max(1, int(width * factor)), max(1, int(height * factor))
    box = Image.Resampling.BOX
    return _each(x, lambda image: image.resize(small, box).resize((width, height), box))


def _jpeg(x: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    def stored(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(quality))
        return Image.open(file)

    return _each(x, stored)


def _each(x: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Every image changed as one of 8 bits, in colour with three channels, else each channel in grey."""
    colour = x.shape[1] == 3
    images: NDArray[Any] = np.rint(x * 255).astype(np.uint8)
    images = images.transpose(0, 2, 3, 1) if colour else images.reshape(-1, *x.shape[2:])
    changed = np.stack([np.asarray(change(Image.fromarray(image))) for image in images])
    return (changed.transpose(0, 3, 1, 2) if colour else changed.reshape(x.shape)) / 255


# The corruption, and its strength at each severity.
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "speckle_noise": (_speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian_blur": (_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40)),
}


def corrupted(x: Pixels, name: str, severity: int) -> Pixels:
    """Images of 8 bits as CIFAR-10-C stores them: clipped, and rounded down to a multiple of 1/255.

    Args:
        x: ``[N, C, H, W]``, from 0 to 1.
        name: One of `CORRUPTIONS`.
        severity: 1 to 5.

    Returns:
        Same shape; the same for every network, as noise is drawn from the name and the severity alone.
    """
    corrupt, strengths = CORRUPTIONS[name]
    generator = seeding.stream(0, seeding.PROBE, list(CORRUPTIONS).index(name), severity)
    changed = corrupt(x, strengths[severity - 1], generator).clip(0, 1)
    return np.floor(changed * 255 + 1e-9) / 255  # not down to the next one where it is a multiple but for rounding
