"""Images whose pixels are independent N(0, std^2), drawn on the spot: stored, or streamed without end.

With ``stream: true`` training draws `n_train` fresh images in every epoch (`gengap.training.data_stream`) and stores
none of them. The prepared file then holds the test images, and in the place of the training images `stored` others, on
which training is evaluated and probes measure, and which no step sees.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gengap.datasets.raw import Raw
from gengap.seeding import NOISE, stream
from gengap.studies.settings import Dataset

PART = {
    "summary": "Images of independent normal pixels, drawn on the spot; stored, or streamed without end.",
    "reads": ("image_size", "channels", "n_train", "n_test", "std", "stream", "data_seed"),
    "class_names": ("unlabelled",),
    "options": {
        "stored": {
            "type": "int",
            "default": 10000,
            "ge": 1,
            "meaning": "With `stream`, images kept for evaluations and probes in the place of the training images.",
        },
    },
}

SIZE = 8  # height and width where `image_size` is null
TRAIN, TEST = range(2)


def read(settings: Dataset, root: Path) -> Raw:
    """Draw the stored images. They have no labels yet: all are 0, of the one class "unlabelled"."""
    n_train = settings.stored if settings.stream else settings.n_train
    return Raw(
        train_images=_draw(settings, n_train, TRAIN),
        train_labels=np.zeros(n_train, dtype=np.int64),
        test_images=_draw(settings, settings.n_test, TEST),
        test_labels=np.zeros(settings.n_test, dtype=np.int64),
        classes=("unlabelled",),
        full_scale=None,
    )


def _draw(settings: Dataset, count: int, split: int) -> NDArray[np.float32]:
    size = settings.image_size or SIZE
    generator = stream(settings.data_seed, NOISE, split)
    images = generator.standard_normal((count, settings.channels, size, size), dtype=np.float32)
    images *= np.float32(settings.std)
    return images
