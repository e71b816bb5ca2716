"""Images whose pixels are independent N(0, std^2), drawn on the spot: stored, or streamed without end.

With ``stream: true`` the prepared file holds the test images and no training images; a trainer draws those with
`stream`. Batch i depends on (data_seed, i) alone, so a run that stopped goes on at batch i without drawing the
earlier ones, and every network sees the same batches.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gengap.datasets.raw import Raw
from gengap.seeding import NOISE
from gengap.seeding import stream as random_stream
from gengap.studies.settings import Dataset

PART = {
    "summary": "Images of independent normal pixels, drawn on the spot; stored, or streamed without end.",
    "reads": ("image_size", "channels", "n_train", "n_test", "std", "stream", "data_seed"),
    "class_names": ("unlabelled",),
}

SIZE = 8  # height and width where `image_size` is null
TRAIN, TEST, STREAM = range(3)


def read(settings: Dataset, root: Path) -> Raw:
    """Draw the stored images. They have no labels yet: all are 0, of the one class "unlabelled"."""
    n_train = 0 if settings.stream else settings.n_train
    return Raw(
        train_images=_draw(settings, n_train, TRAIN),
        train_labels=np.zeros(n_train, dtype=np.int64),
        test_images=_draw(settings, settings.n_test, TEST),
        test_labels=np.zeros(settings.n_test, dtype=np.int64),
        classes=("unlabelled",),
        full_scale=None,
    )


def batch(settings: Dataset, batch_size: int, number: int) -> NDArray[np.float32]:
    """Batch `number` of the stream, ``[batch_size, C, H, W]``."""
    return _draw(settings, batch_size, STREAM, number)


def stream(settings: Dataset, batch_size: int, start: int = 0) -> Iterator[NDArray[np.float32]]:
    """Fresh batches without end, from number `start` on."""
    return (batch(settings, batch_size, number) for number in itertools.count(start))


def _draw(settings: Dataset, count: int, *path: int) -> NDArray[np.float32]:
    size = settings.image_size or SIZE
    generator = random_stream(settings.data_seed, NOISE, *path)
    images = generator.standard_normal((count, settings.channels, size, size), dtype=np.float32)
    images *= np.float32(settings.std)
    return images
