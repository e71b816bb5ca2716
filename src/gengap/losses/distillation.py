"""Distance to a teacher's outputs: squared error, or the divergence between softened classes."""

from torch import Tensor
from torch.nn.functional import log_softmax, pad

from gengap.losses import classes
from gengap.losses.cross_entropy import n_outputs
from gengap.studies.settings import Loss

PART = {
    "summary": (
        "Squared error to the teacher's outputs, mean over them; with `temperature`, divergence of soft classes."
    ),
    "reads": ("temperature",),
    "teacher": True,
}

__all__ = ["correct", "n_outputs", "sample_losses"]


def sample_losses(outputs: Tensor, targets: Tensor, settings: Loss) -> Tensor:
    """Loss of each sample, 0 where the network's outputs f are the teacher's t.

    With `temperature` null it is ``mean_c (f_c - t_c)^2``, as in Ba and Caruana (2014), arXiv:1312.6184, equation 1
    (there half the sum), and in the code of Tian et al. (2019), arXiv:1905.13405. With temperature T it is
    ``T^2 KL(softmax(t / T) || softmax(f / T))`` [nats], whose gradient is that of Hinton, Vinyals and Dean (2015),
    arXiv:1503.02531, section 2; T^2 keeps its size alike for all T. A single output f counts as the logits (0, f).

    The targets are the teacher's outputs on the images as they are stored, also where training changes the images.

    Args:
        outputs: Network outputs ``[N, n_outputs]``.
        targets: The teacher's ``[N, n_outputs]``.
        settings: `temperature`.
    """
    if settings.temperature is None:
        return (outputs - targets).square().mean(dim=1)
    if outputs.shape[1] == 1:
        outputs, targets = pad(outputs, (1, 0)), pad(targets, (1, 0))
    ours, theirs = (log_softmax(logits / settings.temperature, dim=1) for logits in (outputs, targets))
    return settings.temperature**2 * (theirs.exp() * (theirs - ours)).sum(dim=1)


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the network puts a sample in the teacher's class: the same sign, or the same largest output."""
    return classes(outputs) == classes(targets)
