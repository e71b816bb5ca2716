"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels with values 0 to 16, part of the package."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from gengap.datasets.raw import Raw
from gengap.studies.settings import Dataset

PART = {
    "summary": "scikit-learn's 1,797 handwritten digits, 8 x 8.",
    "reads": ("image_size", "standardize"),
    "images": (1442, 355, 1, 8, 10),
    "class_names": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "class_sizes": ((143, 146, 142, 147, 145, 146, 145, 144, 140, 144), (35, 36, 35, 36, 36, 36, 36, 35, 34, 36)),
}

TEST_SHARE = 5  # one in five


def read(settings: Dataset, root: Path) -> Raw:
    """Read the digits; of each class the last fifth, rounded down, is the test set. Nothing is read from `root`."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        is_test[members[len(members) - len(members) // TEST_SHARE :]] = True
    return Raw(
        train_images=images[~is_test],
        train_labels=labels[~is_test],
        test_images=images[is_test],
        test_labels=labels[is_test],
        classes=tuple("0123456789"),
        full_scale=16.0,
    )
