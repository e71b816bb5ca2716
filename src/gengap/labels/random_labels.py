"""Labels drawn at random for a share of the images, once: label noise, and with share 1 random labels.

Which images, and which labels they get, depends on `rule_seed` and an image's place in the pool alone. So the labels
are the same in every epoch and every network, a smaller selection has the labels of a larger one, and the images of a
smaller share are among those of a larger one.
"""

import numpy as np
from numpy.typing import NDArray

from gengap.labels.pool import Pool, Selection, dataset_split, own_labels
from gengap.seeding import LABELS, stream
from gengap.studies.settings import Labels

PART = {
    "summary": "Labels drawn at random, for a share of the images: label noise (Zhang et al. 2017).",
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
        "drawn_from": {
            "choices": ("all", "others"),
            "default": "all",
            "meaning": "all: a random label is any class, the image's own among them; others: any but its own.",
        },
        "test_labels": {
            "choices": ("clean", "noisy"),
            "default": "clean",
            "meaning": "clean: test images keep their labels; noisy: they get random ones as training images do.",
        },
        "rule_seed": {"type": "int", "default": 0, "ge": 0, "meaning": "Seed of what the label rule draws."},
    },
}


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the images as the rule `original` does, and give a share of them random labels.

    Every image is drawn with probability `random_share`, independently; its label is then uniform over the classes.
    With ``drawn_from: all``, as in the paper, a share of (1 - 1/C) `random_share` of C classes' labels is wrong.

    Raises:
        UserError: If the dataset has no labels, or fewer images than asked for.

    Source: Zhang, Bengio, Hardt, Recht and Vinyals (2017), arXiv:1611.03530, section 2.1.
    """
    own = own_labels(settings, pool)
    train, test = dataset_split(settings, pool)
    noisy = _noisy(settings, own, len(pool.classes))
    on_test = own if settings.test_labels == "clean" else noisy
    return Selection(train, test, noisy[train], on_test[test], len(pool.classes))


def _noisy(settings: Labels, labels: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """The labels of the whole pool, a share of them replaced."""
    generator = stream(settings.rule_seed, LABELS)
    replaced = generator.random(len(labels)) < settings.random_share
    if settings.drawn_from == "all":
        drawn = generator.integers(n_classes, size=len(labels))
    else:
        drawn = (labels + 1 + generator.integers(n_classes - 1, size=len(labels))) % n_classes
    return np.where(replaced, drawn, labels)
