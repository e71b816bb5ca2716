"""The patches of `gengap.labels.patches` as training draws them, for all networks of a stack at once."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.labels.patching import Patches, draw, patched
from gengap.studies.settings import Cell

SHARED = ("members", "common", "by_class", "classes")  # of what `draws` gives, the same for all networks
_PATCHES = 1  # beside the stream of flips and shifts of an epoch


def draws(cells: Sequence[Cell], patches: Patches | None, epoch: int) -> dict[str, Tensor]:
    """What `pasted` needs for one epoch, from a stream per cell that depends on seed and epoch alone.

    Args:
        cells: One per network of the stack.
        patches: Of their data; None gives nothing.
        epoch: 0 for the first.

    Returns:
        ``blank`` and ``strengths`` ``[K, N]``, and what all networks share.
    """
    if patches is None:
        return {}
    drawn = []
    for cell in cells:
        uniform = seeding.stream(cell.seed, seeding.AUGMENTATION, epoch, _PATCHES).random((len(patches.images), 3))
        drawn.append(draw(uniform, patches.blank_share, patches.blank_factor))
    blank, strengths = (torch.from_numpy(np.stack(each)) for each in zip(*drawn, strict=True))
    images = patches.images
    return {
        "blank": blank.to(images.device),
        "strengths": strengths.to(images.device, images.dtype),
        "members": patches.members,
        "common": patches.common,
        "by_class": patches.by_class,
        "classes": patches.classes,
    }


def pasted(
    batch: Tensor,
    index: Tensor,
    blank: Tensor,
    strengths: Tensor,
    members: Tensor,
    common: Tensor,
    by_class: Tensor,
    classes: Tensor,
) -> Tensor:
    """Every network's own batch with its patches.

    Args:
        batch: ``[K, B, C, H, W]``.
        index: The samples of the batch ``[K, B]``.
        blank: One epoch's draws of every network ``[K, N]``.
        strengths: The same ``[K, N]``.
        members: Which samples have a patch ``[N]``.
        common: See `Patches`.
        by_class: See `Patches`.
        classes: Of the samples ``[N]``.
    """
    own = (members[index], blank.gather(1, index), strengths.gather(1, index))
    return patched(batch, *own, common, by_class, classes[index])
