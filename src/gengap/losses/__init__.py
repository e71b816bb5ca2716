"""Losses of single samples; a new one is one file with a header.

The file has `n_outputs`, `sample_losses` and `correct`.
"""

from collections.abc import Callable

from torch import Tensor

from gengap import registry
from gengap.errors import UserError
from gengap.studies.settings import Loss

SampleLosses = Callable[[Tensor, Tensor], Tensor]


def sample_losses(settings: Loss) -> SampleLosses:
    """The loss as a function of outputs ``[N, n_outputs]`` and targets, giving ``[N]``.

    Targets are ``[N]``, or a teacher's outputs ``[N, n_outputs]`` where `needs_teacher` says so.
    """
    module = registry.load("loss", settings.name)

    def losses(outputs: Tensor, targets: Tensor) -> Tensor:
        result: Tensor = module.sample_losses(outputs, targets, settings)
        return result

    return losses


def correct(settings: Loss) -> SampleLosses:
    """Whether each sample is classified correctly, as a function like `sample_losses`, giving booleans ``[N]``."""
    function: SampleLosses = registry.load("loss", settings.name).correct
    return function


def n_outputs(settings: Loss, n_classes: int) -> int:
    """How many outputs a network needs for this loss and this number of classes.

    Raises:
        UserError: If the loss is not defined for so many classes.
    """
    module = registry.load("loss", settings.name)
    try:
        count: int = module.n_outputs(n_classes)
    except ValueError as error:
        raise UserError(f"loss.name: '{settings.name}' {error}, and these labels have {n_classes}.") from error
    return count


def targets(labels: Tensor, outputs: int) -> Tensor:
    """Labels as the losses want them: -1 and +1 for a single output, else class indices.

    Args:
        labels: Class indices ``[N]``, or -1 and +1.
        outputs: Number of outputs of the network.
    """
    if outputs == 1:
        return (labels > 0).to(labels.dtype) * 2 - 1
    return labels


def needs_teacher(settings: Loss) -> bool:
    """Whether the targets are the outputs of the network that labelled, and not labels."""
    return registry.check("loss", settings.name).teacher


def classes(targets: Tensor) -> Tensor:
    """The class that each target stands for.

    Args:
        targets: Labels ``[N]``, which stand for themselves; or outputs ``[N, n_outputs]``, which stand for the largest,
            a single output for its sign: 1 if it is above 0, else 0.
    """
    if targets.dim() == 1:
        return targets
    return (targets[:, 0] > 0).long() if targets.shape[1] == 1 else targets.argmax(dim=1)


def correct_sign(outputs: Tensor, targets: Tensor) -> Tensor:
    """A single output is right if its sign is the target's; exactly 0 counts as negative."""
    return (outputs[:, 0] > 0) == (targets > 0)
