"""The label rule NAME on images made by hand."""

from pathlib import Path

import numpy as np
import torch

from gengap.cli.templates.labels import select
from gengap.labels.pool import Pool
from gengap.studies.settings import Labels


def test_every_image_has_the_label_of_the_opposite_class():
    pool = Pool(Path("made.h5"), torch.zeros(5, 1, 2, 2), np.array([0, 1, 2, 0, 2]), 3, ("a", "b", "c"), False)
    found = select(Labels(), pool)
    assert (found.train_indices.tolist(), found.train_labels.tolist()) == ([0, 1, 2], [2, 1, 0])
    assert (found.test_indices.tolist(), found.test_labels.tolist()) == ([3, 4], [2, 0])
    assert found.n_classes == 3
