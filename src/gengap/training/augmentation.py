"""Random changes of the training images, made on the device for all networks of a stack at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.settings import Cell
from gengap.training import patches

PADDING = 4  # pixels of zeros on every side before the crop, as is usual for CIFAR


def draw(kind: str, seed: int, epoch: int, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """How every training sample is changed in one epoch; depends only on seed and epoch.

    Args:
        kind: ``flip``, or ``flip_crop``, which flips the same samples.
        seed: The cell's seed.
        epoch: 0 for the first.
        n_samples: Size of the training set.

    Returns:
        Whether to mirror left and right, bool ``[n_samples]`` with probability 1/2, and the shift of the crop down
        and to the right [pixels], int64 ``[n_samples, 2]``, uniform from -4 to 4; 0 where nothing is cropped.
    """
    stream = seeding.stream(seed, seeding.AUGMENTATION, epoch)
    flips = stream.integers(2, size=n_samples).astype(bool)
    if kind == "flip":
        return flips, np.zeros((n_samples, 2), dtype=np.int64)
    return flips, stream.integers(-PADDING, PADDING, size=(n_samples, 2), endpoint=True)


def draws(cells: Sequence[Cell], epoch: int, n_samples: int, device: torch.device) -> dict[str, Tensor]:
    """What `augmented` needs for one epoch: ``flips`` and ``shifts``; nothing where the cells ask for none."""
    kind = cells[0].training.augmentation
    if kind == "none":
        return {}
    flips, shifts = zip(*(draw(kind, cell.seed, epoch, n_samples) for cell in cells), strict=True)
    stacked = {"flips": np.stack(flips), "shifts": np.stack(shifts)}
    return {name: torch.from_numpy(value).to(device) for name, value in stacked.items()}


def augment(images: Tensor, flips: Tensor, shifts: Tensor) -> Tensor:
    """Pad with zeros, crop back to the same size, then mirror: torchvision's `RandomCrop`, `RandomHorizontalFlip`.

    Args:
        images: Standardised, so that zeros are the mean colour: ``[K, B, C, H, W]``.
        flips: Whether to mirror left and right, bool ``[K, B]``.
        shifts: Where the crop begins, down and to the right of the image's corner [pixels], integers ``[K, B, 2]``.

    Returns:
        Same shape.
    """
    height, width = images.shape[-2:]
    across = torch.arange(width, device=images.device)
    rows = torch.arange(height, device=images.device) + shifts[..., :1]
    columns = torch.where(flips[..., None], width - 1 - across, across) + shifts[..., 1:]
    inside = _within(rows, height)[..., :, None] & _within(columns, width)[..., None, :]
    pixels = rows.clamp(0, height - 1)[..., :, None] * width + columns.clamp(0, width - 1)[..., None, :]
    moved = images.flatten(3).gather(3, pixels.flatten(2)[:, :, None].expand(-1, -1, images.shape[2], -1))
    return torch.where(inside[:, :, None], moved.view(images.shape), 0)


def augmented(
    images: Tensor, index: Tensor, flips: Tensor | None = None, shifts: Tensor | None = None, **patched: Tensor
) -> Tensor:
    """Every network's own batch, augmented; takes the place of ``images[index]``.

    Args:
        images: The training set ``[N, C, H, W]``.
        index: The samples of the batch ``[K, B]``.
        flips: One epoch's draws of every network ``[K, N]``; None: images are not moved.
        shifts: The same ``[K, N, 2]``.
        patched: Draws of `gengap.training.patches`, which are pasted over what moved; none: no patches.

    Returns:
        ``[K, B, C, H, W]``.
    """
    batch = images[index]
    if flips is not None and shifts is not None:
        batch = augment(batch, flips.gather(1, index), shifts.gather(1, index[..., None].expand(-1, -1, 2)))
    return patches.pasted(batch, index, **patched) if patched else batch


def _within(position: Tensor, size: int) -> Tensor:
    return (position >= 0) & (position < size)
