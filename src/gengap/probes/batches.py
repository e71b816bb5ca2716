"""Training batches that a probe draws, as a cell met them in training."""

import numpy as np
from numpy.typing import NDArray

from gengap import seeding
from gengap.studies.settings import Cell


def drawn_batches(cell: Cell, n_samples: int, draws: int) -> NDArray[np.int64]:
    """Which training samples are in batches of the cell's own size, drawn from the cell's stream for probes.

    Args:
        cell: The cell.
        n_samples: Training samples.
        draws: Batches; only one if it holds all samples.

    Returns:
        ``[draws, batch_size]``.
    """
    size = cell.training.batch_size
    if size == "full" or size >= n_samples:
        return np.arange(n_samples)[None]
    stream = seeding.stream(cell.seed, seeding.PROBE)
    return np.stack([stream.choice(n_samples, size, replace=False) for _ in range(draws)])
