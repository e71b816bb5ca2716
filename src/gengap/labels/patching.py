"""Patches pasted into images, drawn again whenever an image is used (Li, Wei and Ma 2019, arXiv:1907.04595, section 5).

A patch takes the place of the pixels in the middle of an image. It is a vector common to all, plus one of the image's
class times a strength; some images are blank behind it.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Patches:
    """What the training images of one data set are made of, in every epoch anew.

    Attributes:
        images: Without patches, float32 ``[N, C, H, W]``.
        classes: int64 ``[N]``.
        members: Which images ever have a patch, bool ``[N]``.
        common: The part of a patch that is the same for all, float32 ``[C, P, P]``.
        by_class: The part of each class, float32 ``[classes, C, P, P]``.
        blank_share: Probability with which a member is blank.
        blank_factor: Largest strength on a blank image.
    """

    images: Tensor
    classes: Tensor
    members: Tensor
    common: Tensor
    by_class: Tensor
    blank_share: float
    blank_factor: float

    def to(self, device: torch.device, dtype: torch.dtype) -> "Patches":
        """The same on a device, images and patches in a dtype."""
        return dataclasses.replace(
            self,
            images=self.images.to(device, dtype),
            classes=self.classes.to(device),
            members=self.members.to(device),
            common=self.common.to(device, dtype),
            by_class=self.by_class.to(device, dtype),
        )


def draw(
    uniform: NDArray[np.float64], blank_share: float, blank_factor: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which images are blank, and the strength of every patch.

    Args:
        uniform: Three numbers from 0 to 1 for every image, ``[N, 3]``.
        blank_share: Probability of a blank image.
        blank_factor: Largest strength on a blank image.

    Returns:
        Bool ``[N]``; and float32 ``[N]``, +-1 with equal chance, times `blank_factor` and a uniform number from 0 to 1
        where the image is blank.
    """
    blank = uniform[:, 0] < blank_share
    sign = np.where(uniform[:, 1] < 0.5, -1.0, 1.0)
    return blank, (sign * np.where(blank, blank_factor * uniform[:, 2], 1.0)).astype(np.float32)


def patched(
    images: Tensor, members: Tensor, blank: Tensor, strengths: Tensor, common: Tensor, by_class: Tensor, classes: Tensor
) -> Tensor:
    """Images with their patches.

    Args:
        images: Standardised, so that zeros are the mean colour: ``[..., C, H, W]``.
        members: Which have a patch, bool ``[...]``.
        blank: Which of these are blank, bool ``[...]``.
        strengths: Of the class's part, ``[...]``.
        common: See `Patches`.
        by_class: See `Patches`.
        classes: int64 ``[...]``.

    Returns:
        Same shape. Rows and columns of the patch begin at ``int(side / 2 - P / 2)``: 12 to 18 of 32.
    """
    height, width = images.shape[-2:]
    size = common.shape[-1]
    above, left = int(height / 2 - size / 2), int(width / 2 - size / 2)
    around = (left, width - size - left, above, height - size - above)
    patches = common + strengths[..., None, None, None] * by_class[classes]
    inside = torch.nn.functional.pad(torch.ones_like(common[0], dtype=torch.bool), around)
    behind = torch.where((members & blank)[..., None, None, None], 0.0, images)
    here = members[..., None, None, None] & inside
    return torch.where(here, torch.nn.functional.pad(patches, around), behind)
