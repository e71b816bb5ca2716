"""The dataset's classes in reverse order: replace this by one sentence on NAME."""

import numpy as np
from numpy.typing import NDArray

from gengap.labels.pool import Pool, Selection, dataset_split
from gengap.studies.settings import Labels

PART = {
    "summary": "The labels that the dataset came with, in reverse order.",
}


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the dataset's split, or the first `train_size` and `test_size` images of a fixed shuffle."""
    train, test = dataset_split(settings, pool)
    labels, n_classes = relabelled(pool.labels, len(pool.classes)), len(pool.classes)
    return Selection(train, test, labels[train], labels[test], n_classes)


def relabelled(labels: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Class c becomes class n_classes - 1 - c."""
    return n_classes - 1 - labels
