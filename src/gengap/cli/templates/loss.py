"""The absolute error: replace this by one sentence on NAME and its paper."""

from torch import Tensor

from gengap.losses import correct_sign
from gengap.studies.settings import Loss

PART = {
    "summary": "|y - f| for labels -1 and +1.",
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
        settings: Has no option for this loss.
    """
    return (targets - outputs[:, 0]).abs()
