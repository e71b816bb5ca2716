"""The order in which a cell sees its samples."""

import numpy as np

from gengap import seeding


def order(seed: int, epoch: int, n_samples: int) -> np.ndarray:
    """A permutation that depends only on the cell's seed and the epoch, so a resumed cell needs no earlier epoch.

    Args:
        seed: The cell's seed.
        epoch: 0 for the first.
        n_samples: Size of the training set.

    Returns:
        int64 ``[n_samples]``.
    """
    return seeding.stream(seed, seeding.ORDER, epoch).permutation(n_samples)
