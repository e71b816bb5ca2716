"""Softmax cross-entropy in nats; for two classes the logistic loss of a single output."""

import torch
from torch import Tensor

from gengap.losses import correct_sign
from gengap.studies.settings import Loss

PART = {
    "summary": "Softmax cross-entropy; the logistic loss where the network has one output.",
}


def n_outputs(n_classes: int) -> int:
    """One output for two classes, else one per class."""
    return 1 if n_classes == 2 else n_classes


def sample_losses(outputs: Tensor, targets: Tensor, settings: Loss) -> Tensor:
    """Loss of each sample [nats].

    Args:
        outputs: Logits ``[N, n_outputs]``.
        targets: Class indices, or -1 and +1 for a single logit, ``[N]``.
        settings: Has no option for this loss.
    """
    if outputs.shape[1] == 1:
        return torch.nn.functional.softplus(-targets * outputs[:, 0])
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the largest logit, or the single logit's sign, is the target's."""
    if outputs.shape[1] == 1:
        return correct_sign(outputs, targets)
    return outputs.argmax(dim=1) == targets
