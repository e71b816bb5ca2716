"""The smooth hinge max(0, 1 - y f)^p: Song (2019), chapter 3, read with the clamp and sign that the text implies."""

from torch import Tensor

from gengap.losses import correct_sign
from gengap.studies.settings import Loss

PART = {
    "summary": "max(0, 1 - y f)^p for labels -1 and +1.",
    "classes": 2,
    "reads": ("power",),
}

correct = correct_sign


def n_outputs(n_classes: int) -> int:
    """One output, for two classes."""
    if n_classes != 2:
        raise ValueError("needs two classes")
    return 1


def sample_losses(outputs: Tensor, targets: Tensor, settings: Loss) -> Tensor:
    """Loss of each sample.

    Args:
        outputs: Network outputs ``[N, 1]``.
        targets: -1 or +1, ``[N]``.
        settings: `power` is p; the loss is once differentiable for p = 2, twice for p >= 3.
    """
    shortfall = (1 - targets * outputs[:, 0]).clamp(min=0)
    return shortfall**settings.power if settings.power != 2 else shortfall.square()
