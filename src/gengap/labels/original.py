"""The labels that the dataset came with."""

import numpy as np
from numpy.typing import NDArray

from gengap.errors import UserError
from gengap.labels.pool import Pool, Selection
from gengap.seeding import ORDER, stream
from gengap.settings import Labels


def select(settings: Labels, pool: Pool) -> Selection:
    """Keep the dataset's split and labels, or the first `train_size` and `test_size` images of a fixed shuffle.

    The shuffle is there because files may be sorted by class. It depends on nothing but the number of images, so a
    smaller selection is part of a larger one.

    Raises:
        UserError: If the dataset has no labels, or fewer images than asked for.
    """
    if len(pool.classes) < 2:
        raise UserError(
            f"labels.name: 'original': the images in {pool.path} came without labels. Set labels.name to teacher."
        )
    train = _first(settings.train_size, 0, pool.n_train, "train_size", pool)
    test = _first(settings.test_size, pool.n_train, len(pool.labels), "test_size", pool)
    return Selection(train, test, pool.labels[train], pool.labels[test], len(pool.classes))


def _first(size: int | None, start: int, stop: int, key: str, pool: Pool) -> NDArray[np.int64]:
    if size is None:
        return np.arange(start, stop)
    if size > stop - start:
        raise UserError(
            f"labels.{key}: {size:,} images are asked for, {pool.path} has {stop - start:,}. "
            f"Choose from 1 to {stop - start}, or null for all."
        )
    return start + stream(0, ORDER).permutation(stop - start)[:size]
