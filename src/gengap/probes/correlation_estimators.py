"""How much of the growth of node correlations is the estimator: few samples drawn anew each time, or more and fixed."""

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.probes.context import Measurement, ProbeContext
from gengap.probes.node_correlation import correlations, mean_best, teacher_of
from gengap.studies.settings import Cell

PART = {
    "summary": "Best node correlations on few samples drawn anew at every epoch, and on a fixed thousand.",
    "batchnorm": ("running", "exact"),
    "teacher": True,
    "options": {
        "reshuffled": {
            "type": "int",
            "default": 192,
            "ge": 3,
            "meaning": "Images drawn anew at every epoch: 3 batches of 64 in the authors' code.",
        },
        "fixed": {"type": "int", "default": 1024, "ge": 3, "meaning": "Images that are the same at every epoch."},
    },
    "quantities": {
        "best_node_correlation_reshuffled": {
            "label": "mean best node correlation, few reshuffled samples",
            "meaning": "As `best_node_correlation`, on few images drawn anew at every epoch.",
        },
        "best_node_correlation_reshuffled_by_chance": {
            "label": "the same by chance, few reshuffled samples",
            "meaning": "As `best_node_correlation_by_chance`, on few images drawn anew at every epoch.",
        },
        "best_node_correlation_fixed": {
            "label": "mean best node correlation, a thousand fixed samples",
            "meaning": "As `best_node_correlation`, on the first images, the same at every epoch.",
        },
        "best_node_correlation_fixed_by_chance": {
            "label": "the same by chance, a thousand fixed samples",
            "meaning": "As `best_node_correlation_by_chance`, on the first images, the same at every epoch.",
        },
    },
    "picture": {"quantity": "best_node_correlation_reshuffled", "layers": ["relu1", "relu2", "relu"]},
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the mean best node correlation as the authors' code does, and on more samples.

    The largest of many sample correlations is above 0 by chance, the more so the fewer samples there are: of 1,250
    students and 192 samples about 0.27. ``best_node_correlation_reshuffled`` is that of `node_correlation` on
    ``options.reshuffled`` (192) images drawn anew for every network and epoch, as the authors' code reads them;
    ``best_node_correlation_fixed`` on the first ``options.fixed`` (1024). Each has a value ``_by_chance``, of images
    that the teacher saw in another order. The probe `node_correlation` reads all of them.

    Args:
        context: K networks, their teacher and images; see `ProbeContext`.

    Returns:
        By layer, float64 ``[K]``: the four means.

    Raises:
        ValueError: If there is no teacher, or if no layer of it fits a layer of the networks.

    Source: the code of Tian et al. (2019), arXiv:1905.13405; the comparison is ours.
    """
    teacher, images = teacher_of(context), context.train_images
    count = context.options.reshuffled
    drawn = [_drawn(images, *of, count) for of in zip(context.cells, context.measured_at, strict=True)]
    first = [images[: context.options.fixed]] * len(context.cells)
    measured = []
    for name, shown in (("reshuffled", drawn), ("fixed", first)):
        for layer, correlation in correlations(context, teacher, context.state, 1, shown).items():
            best = mean_best(correlation)
            measured.append(Measurement(f"best_node_correlation_{name}", best[:, 0], layer))
            measured.append(Measurement(f"best_node_correlation_{name}_by_chance", best[:, 1], layer))
    return measured


def _drawn(images: Tensor, cell: Cell, epoch: float, count: int) -> Tensor:
    """So many of the images, different ones, by the cell's seed and the epoch."""
    bits = np.frombuffer(np.float64(epoch).tobytes(), dtype=np.uint32).tolist()  # epochs may be fractions
    stream = seeding.stream(cell.seed, seeding.PROBE, *bits)
    chosen = stream.permutation(len(images))[:count]
    return images[torch.from_numpy(chosen).to(images.device)]
