"""Memorable patches beside hard images: the data on which a small learning rate is misled (Li, Wei and Ma 2019).

Which images have a patch is fixed. Whether a patched image is blank, and sign and strength of its patch, is drawn in
training for every epoch and image from the cell's seed, so cells that differ in anything else see the same images. The
stored training images are one such draw, and the test images too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gengap.errors import UserError
from gengap.labels.patching import Patches, draw, patched
from gengap.labels.pool import Pool, Selection, dataset_split, own_labels
from gengap.seeding import LABELS, stream
from gengap.studies.settings import Labels

PART = {
    "summary": (
        "Images with their own labels, most with a patch that tells the class, some of these blank but for it (Li, Wei "
        "and Ma 2019)."
    ),
    "options": {
        "patched_share": {
            "type": "float",
            "default": 0.8,
            "ge": 0,
            "le": 1,
            "meaning": "Probability with which an image has a patch.",
        },
        "blank_share": {
            "type": "float",
            "default": 0.2,
            "ge": 0,
            "le": 1,
            "meaning": "Probability with which an image that has a patch is blank behind it.",
        },
        "patch_size": {"type": "int", "default": 7, "ge": 1, "meaning": "Height and width of a patch [pixels]."},
        "patch_std": {
            "type": "float",
            "default": 1.25,
            "ge": 0,
            "meaning": "Standard deviation of the part of a patch that all share, in standardised pixels.",
        },
        "class_range": {
            "type": "float",
            "default": 0.1,
            "ge": 0,
            "meaning": "Largest size of a pixel of the part of a patch that tells the class.",
        },
        "blank_factor": {
            "type": "float",
            "default": 1.75,
            "ge": 0,
            "meaning": "Largest strength of that part on a blank image; elsewhere it is 1.",
        },
        "rule_seed": {"type": "int", "default": 0, "ge": 0, "meaning": "Seed of what the label rule draws."},
    },
}

PATCH_ONLY = 1000  # blank images of the test set that has no others


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep images and labels as the rule `original` does; the patches' common part and their classes' are constants.

    Raises:
        UserError: If the dataset has no labels, fewer images than asked for, or images smaller than a patch.

    Source: Li, Wei and Ma (2019), arXiv:1907.04595, section 5 and appendix, with the constants of the authors' code.
    """
    labels = own_labels(settings, pool)
    channels, height, width = pool.images.shape[1:]
    size = settings.patch_size
    if size > min(height, width):
        raise UserError(
            f"labels.patch_size: patches of {size} x {size} pixels do not fit into images of {height} x {width}. "
            f"Choose from 1 to {min(height, width)}."
        )
    train, test = dataset_split(settings, pool)
    generator = stream(settings.rule_seed, LABELS)
    common = settings.patch_std * generator.standard_normal((channels, size, size))
    by_class = settings.class_range * generator.uniform(-1, 1, (len(pool.classes), channels, size, size))
    constants = {
        "common": common.astype(np.float32),
        "by_class": by_class.astype(np.float32),
        "classes": labels.astype(np.int64),
    }
    return Selection(train, test, labels[train], labels[test], len(pool.classes), constants=constants)


def change(
    settings: Labels, images: Tensor, indices: NDArray[np.int64], constants: Mapping[str, NDArray[Any]]
) -> Tensor:
    """One draw of every image: 20 % are as they were, 16 % blank with a patch, 64 % have a patch, in the mean.

    Args:
        settings: All options are read.
        images: ``[M, C, H, W]``.
        indices: Their places in the pool ``[M]``.
        constants: `common` and `by_class`, see `Patches`; `classes` of the whole pool.
    """
    members, uniform = _draws(settings, indices)
    classes = torch.from_numpy(constants["classes"])[torch.from_numpy(indices)]
    return _patched(settings, images, members, uniform, classes, constants)


def redrawn(
    settings: Labels, images: Tensor, indices: NDArray[np.int64], constants: Mapping[str, NDArray[Any]]
) -> Patches:
    """What training draws the images from, in every epoch anew; arguments as of `change`."""
    return Patches(
        images=images,
        classes=torch.from_numpy(constants["classes"])[torch.from_numpy(indices)],
        members=torch.from_numpy(_draws(settings, indices)[0]),
        common=torch.from_numpy(constants["common"]),
        by_class=torch.from_numpy(constants["by_class"]),
        blank_share=settings.blank_share,
        blank_factor=settings.blank_factor,
    )


def test_sets(
    settings: Labels, images: Tensor, indices: NDArray[np.int64], constants: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Further test sets: ``clean`` images, and ``patch_only``, 1,000 blank ones with patches of random classes.

    Args:
        settings: All options are read.
        images: The test images without patches, ``[M, C, H, W]``.
        indices: Their places in the pool ``[M]``.
        constants: As of `change`.

    Returns:
        Images and labels by name.
    """
    classes = torch.from_numpy(constants["classes"])[torch.from_numpy(indices)]
    generator = stream(settings.rule_seed, LABELS, len(constants["classes"]))  # which no image has
    drawn = torch.from_numpy(generator.integers(len(constants["by_class"]), size=PATCH_ONLY))
    every = np.ones(PATCH_ONLY, dtype=bool)
    blank = images.new_zeros(PATCH_ONLY, *images.shape[1:])
    only = _patched(settings, blank, every, generator.random((PATCH_ONLY, 3)), drawn, constants)
    return {"clean": (images, classes), "patch_only": (only, drawn)}


def _draws(settings: Labels, indices: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which images have a patch, bool ``[M]``; and three uniform numbers of each ``[M, 3]``."""
    numbers = np.empty((len(indices), 4))
    for place, index in enumerate(indices.tolist()):
        stream(settings.rule_seed, LABELS, index).random(out=numbers[place])
    return numbers[:, 0] < settings.patched_share, numbers[:, 1:]


def _patched(
    settings: Labels,
    images: Tensor,
    members: NDArray[np.bool_],
    uniform: NDArray[np.float64],
    classes: Tensor,
    constants: Mapping[str, NDArray[Any]],
) -> Tensor:
    blank, strengths = draw(uniform, settings.blank_share, settings.blank_factor)
    return patched(
        images,
        torch.from_numpy(members),
        torch.from_numpy(blank),
        torch.from_numpy(strengths),
        torch.from_numpy(constants["common"]),
        torch.from_numpy(constants["by_class"]),
        classes,
    )
