"""Squared error, mean over the outputs: against -1 and +1 for a single output, else against one-hot targets."""

import torch
from torch import Tensor

from gengap.losses.cross_entropy import correct, n_outputs
from gengap.studies.settings import Loss

PART = {
    "summary": (
        "Squared error, mean over the outputs: to one-hot targets; to -1 and +1 where the network has one output."
    ),
}

__all__ = ["correct", "n_outputs", "sample_losses"]


def sample_losses(outputs: Tensor, targets: Tensor, settings: Loss) -> Tensor:
    """Loss of each sample; its mean over samples is `torch.nn.MSELoss`.

    Args:
        outputs: Network outputs ``[N, n_outputs]``.
        targets: Class indices, or -1 and +1 for a single output, ``[N]``.
        settings: Has no option for this loss.
    """
    if outputs.shape[1] == 1:
        return (outputs[:, 0] - targets).square()
    one_hot = targets[:, None] == torch.arange(outputs.shape[1], device=outputs.device)
    return (outputs - one_hot.to(outputs.dtype)).square().mean(dim=1)
