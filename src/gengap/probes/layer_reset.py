"""Are all layers equal? Test error when one layer goes back to an earlier checkpoint, or is drawn afresh."""

import torch
from torch import Tensor

from gengap import seeding
from gengap.engine import evaluation, starting
from gengap.engine.groups import groups
from gengap.engine.layers import Parts, layer_parts
from gengap.engine.stack import State
from gengap.probes.averages import averaged, mean
from gengap.probes.subject import BATCH_SIZE, Measured, Subject

DRAWS = 3
BUDGET = 250_000_000  # weights that one stack of reset networks may hold: 1 GB in float32


def measure(subject: Subject) -> list[Measured]:
    """Reset one layer at a time, train nothing, and measure the network that results.

    With theta the measured weights, theta_l those of layer l, and E the test error,

    * re-initialisation to epoch t: ``E_l(t) = E(theta with theta_l <- theta_l(t))``;
    * re-randomisation: ``E_l(new) = E(theta with theta_l <- a fresh draw)`` from the cell's own init;
    * the rise ``1/n_layers sum_l E_l(0) - E(theta)``, small for a robust network, and the same for fresh draws.

    A layer is its weight tensor and bias with the BatchNorm that normalises its output (`gengap.engine.layers`), so
    that resetting all layers would give the old network. In mode ``exact`` every layer's statistics are computed
    anew for each reset network, on the whole training set; in mode ``running`` the layer's running averages of that
    epoch go back with it (mean 0 and variance 1 for a fresh draw); in mode ``batch`` each run of 1,000 images has
    its own. The checkpoints are those that all cells of the pack have; later ones than the measured one are left out,
    as not a number.

    Cost: epochs x layers networks are evaluated on both sets, and in mode ``exact`` once more for the statistics; so
    measure at ``epochs: last``.

    Args:
        subject: K networks and their data; see `Subject`. ``options.samples`` limits the training images of the loss;
            ``options.draws`` (3) is the number of fresh draws, whose seeds come from the cell.

    Returns:
        float64: ``reset_epoch`` ``[K, epochs]``; by layer ``test_error_after_reset`` and ``train_loss_after_reset``
        ``[K, epochs]``; means over the draws, each ``[K]`` and with its ``_standard_error`` (from two draws on): by
        layer ``test_error_after_rerandomization`` and ``train_loss_after_rerandomization``, and
        ``error_rise_after_rerandomization``; ``error_rise_after_reset`` ``[K]``. Errors are fractions.

    Source: Zhang, Bengio and Singer (2019), arXiv:1902.01996, sections 2 and 3.
    """
    parts = layer_parts(subject.arch, tuple(subject.train_images.shape[1:]))
    own_error, _ = _performance(subject, subject.state)
    n_draws = subject.options.draws or DRAWS
    earlier = [epoch for epoch in subject.epochs if epoch <= max(subject.measured_at)]
    reset = [_after_reset(subject, parts, subject.saved(epoch)) for epoch in earlier]
    redrawn = [_after_reset(subject, parts, fresh(subject, draw)) for draw in range(n_draws)]
    errors, losses = (_only_earlier(subject, torch.stack(found, dim=2)) for found in zip(*reset, strict=True))
    new_errors, new_losses = (torch.stack(found, dim=2) for found in zip(*redrawn, strict=True))  # [layers, K, draws]

    epochs = torch.tensor(subject.epochs, dtype=torch.float64).expand(len(subject.cells), -1)
    measured = [Measured("reset_epoch", epochs, dims=("epoch",))]
    for place, layer in enumerate(parts):
        measured += [
            Measured("test_error_after_reset", errors[place], layer, ("epoch",)),
            Measured("train_loss_after_reset", losses[place], layer, ("epoch",)),
            *averaged("test_error_after_rerandomization", new_errors[place], layer),
            *averaged("train_loss_after_rerandomization", new_losses[place], layer),
        ]
    measured.append(Measured("error_rise_after_reset", mean(errors[:, :, 0], 0) - own_error))
    measured += averaged("error_rise_after_rerandomization", mean(new_errors, 0) - own_error[:, None])
    return measured


def with_layer(state: State, other: State, tensors: tuple[str, ...]) -> State:
    """The state whose `tensors` are those of the other."""
    return {**state, **{name: other[name] for name in tensors}}


def _after_reset(subject: Subject, parts: Parts, other: State) -> tuple[Tensor, Tensor]:
    """Test error and train loss with each layer in turn taken from the other networks, ``[layers, K]`` each."""
    at_once = max(1, BUDGET // (len(subject.cells) * subject.arch.n_parameters))
    found = []
    for at in range(0, len(parts), at_once):
        some = [with_layer(subject.state, other, tensors) for tensors in list(parts.values())[at : at + at_once]]
        stacked = {name: torch.cat([state[name] for state in some]) for name in subject.state}
        found.append(_performance(subject, stacked))
    errors, losses = (torch.cat(each).view(len(parts), -1) for each in zip(*found, strict=True))
    return errors, losses


def _performance(subject: Subject, state: State) -> tuple[Tensor, Tensor]:
    """Test error and train loss of every network of a stack."""
    errors, losses = [], []
    # On a CPU one by one: how many are evaluated together can change the last bits.
    for part in groups(state, subject.train_images, BATCH_SIZE):
        part = evaluation.for_mode(subject.arch, part, subject.train_images, subject.batchnorm)
        errors.append(1 - _evaluated(subject, part, subject.test_images, subject.test_targets)["accuracy"])
        losses.append(_evaluated(subject, part, *subject.probe_images())["loss"])
    return torch.cat(errors), torch.cat(losses)


def _evaluated(subject: Subject, state: State, images: Tensor, targets: Tensor) -> State:
    outputs = evaluation.all_outputs(subject.arch, state, images, subject.batchnorm, BATCH_SIZE)
    return evaluation.performance(outputs, targets, subject.loss)


def _only_earlier(subject: Subject, values: Tensor) -> Tensor:
    """``[layers, K, earlier epochs]`` with a column for every epoch, and not a number where it is a later one."""
    epochs = torch.tensor(subject.epochs, device=values.device)
    later = epochs > torch.tensor(subject.measured_at, device=values.device)[:, None]
    padded = torch.nn.functional.pad(values, (0, len(epochs) - values.shape[2]), value=torch.nan)
    return padded.masked_fill(later, torch.nan)


def fresh(subject: Subject, draw: int) -> State:
    """Each cell's network as its own init draws it from another seed, which the cell's seed and `draw` determine."""
    cells = [
        cell.model_copy(update={"seed": seeding.torch_seed(cell.seed, seeding.PROBE, draw)}) for cell in subject.cells
    ]
    channels, height, width = subject.train_images.shape[1:]
    n_outputs = subject.arch.evaluation(torch.zeros(1, channels, height, width, device="meta")).shape[1]
    return starting.start(subject.arch, cells, subject.train_images, subject.train_targets, n_outputs)
