"""Images with their pixels in another order: one permutation for all images, or one for each.

A pixel moves with all its channels. The order depends on `rule_seed`, and of an image of its own on its place in the
pool, so it is the same in every epoch and every network.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gengap.labels.pool import Pool, Selection, dataset_split, own_labels
from gengap.seeding import LABELS, stream
from gengap.studies.settings import Labels

PART = {
    "summary": "Images with their pixels in another order, with their own labels (Zhang et al. 2017).",
    "options": {
        "permutation": {
            "choices": ("one", "each"),
            "default": "one",
            "meaning": "one: the same permutation for all images; each: one of its own for every image.",
        },
        "rule_seed": {"type": "int", "default": 0, "ge": 0, "meaning": "Seed of what the label rule draws."},
    },
}


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep images and labels as the rule `original` does.

    Raises:
        UserError: If the dataset has no labels, or fewer images than asked for.

    Source: Zhang, Bengio, Hardt, Recht and Vinyals (2017), arXiv:1611.03530, section 2.1: "shuffled pixels" and "random
    pixels".
    """
    labels = own_labels(settings, pool)
    train, test = dataset_split(settings, pool)
    return Selection(train, test, labels[train], labels[test], len(pool.classes))


def change(
    settings: Labels, images: Tensor, indices: NDArray[np.int64], constants: Mapping[str, NDArray[Any]]
) -> Tensor:
    """Put the pixels in their new order; of test images too.

    Args:
        settings: `permutation` and `rule_seed` are read.
        images: ``[M, C, H, W]``.
        indices: Their places in the pool ``[M]``.
        constants: None.
    """
    flat = images.flatten(2)
    n_pixels = flat.shape[2]
    if settings.permutation == "one":
        order = torch.from_numpy(stream(settings.rule_seed, LABELS).permutation(n_pixels))
        return flat[:, :, order].view(images.shape)
    own = (stream(settings.rule_seed, LABELS, index).permutation(n_pixels) for index in indices.tolist())
    orders = np.fromiter(own, dtype=np.dtype((np.int64, n_pixels)), count=len(indices))
    return flat.gather(2, torch.from_numpy(orders)[:, None].expand_as(flat)).view(images.shape)
