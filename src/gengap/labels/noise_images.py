"""Noise in the place of a share of the images: every pixel normal, with the mean and variance that it has in the data.

The noise of an image depends on `rule_seed` and its place in the pool alone, so it is the same in every epoch and every
network.
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
    "summary": "Gaussian noise in the place of a share of the images, with their own labels (Zhang et al. 2017).",
    "options": {
        "random_share": {
            "type": "float",
            "default": 1.0,
            "ge": 0,
            "le": 1,
            "meaning": (
                "Probability with which the rule changes an image: `random_labels` draws its label, `noise_images` "
                "replaces its pixels by noise."
            ),
        },
        "rule_seed": {"type": "int", "default": 0, "ge": 0, "meaning": "Seed of what the label rule draws."},
    },
}


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep images and labels as the rule `original` does; mean and standard deviation of each pixel are constants.

    Raises:
        UserError: If the dataset has no labels, or fewer images than asked for.

    Source: Zhang, Bengio, Hardt, Recht and Vinyals (2017), arXiv:1611.03530, section 2.1; a share of the images after
    Arpit et al. (2017), arXiv:1706.05394, section 3.1.
    """
    labels = own_labels(settings, pool)
    train, test = dataset_split(settings, pool)
    variance, mean = torch.var_mean(pool.images[: pool.n_train], dim=0, correction=0)
    constants = {"mean": mean.numpy(), "std": variance.sqrt().numpy()}
    return Selection(train, test, labels[train], labels[test], len(pool.classes), constants=constants)


def change(
    settings: Labels, images: Tensor, indices: NDArray[np.int64], constants: Mapping[str, NDArray[Any]]
) -> Tensor:
    """Replace every image with probability `random_share`; test images too.

    Args:
        settings: `random_share` and `rule_seed` are read.
        images: ``[M, C, H, W]``.
        indices: Their places in the pool ``[M]``.
        constants: `mean` and `std` of each pixel over the training images of the dataset, ``[C, H, W]``.
    """
    noise = np.empty(images.shape, dtype=np.float32)
    replaced = np.empty(len(images), dtype=bool)
    for place, index in enumerate(indices.tolist()):
        generator = stream(settings.rule_seed, LABELS, index)
        replaced[place] = generator.random() < settings.random_share
        generator.standard_normal(out=noise[place], dtype=np.float32)
    noise *= constants["std"]
    noise += constants["mean"]
    return torch.where(torch.from_numpy(replaced)[:, None, None, None], torch.from_numpy(noise), images)
