"""Black and white squares: replace this by one sentence on NAME, where it is from, and its licence."""

from pathlib import Path

import numpy as np

from gengap.datasets.raw import Raw
from gengap.studies.settings import Dataset

PART = {
    "summary": "Black and white squares, 8 x 8.",
    "reads": ("image_size", "standardize"),
    "images": (40, 20, 1, 8, 2),
}


def read(settings: Dataset, root: Path) -> Raw:
    """Make the images; a dataset of files reads them below `root`, with `gengap.datasets.fetching` to download them."""
    labels = np.arange(60) % 2
    images = np.broadcast_to((255 * labels)[:, None, None, None], (60, 1, 8, 8)).astype(np.uint8)
    return Raw(
        train_images=images[:40],
        train_labels=labels[:40],
        test_images=images[40:],
        test_labels=labels[40:],
        classes=("black", "white"),
    )
