"""Loss and accuracy along the straight line between two checkpoints: Keskar's parametric plot."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gengap.engine import evaluation
from gengap.engine.stack import Architecture, State, concatenate, n_networks, stacked, take
from gengap.errors import UserError
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Loss and accuracy along the line between two checkpoints (Keskar 2017).",
    "reads": ("samples",),
    "options": {
        "points": {
            "type": "int",
            "default": 25,
            "ge": 7,
            "step": 6,
            "meaning": "Positions on the line, one more than a multiple of 6: both ends and the middle are among them.",
        },
        "from_epoch": {
            "type": "epoch",
            "default": 0.0,
            "ge": 0,
            "meaning": "Saved epoch at which the line to the measured checkpoint begins.",
        },
    },
    "quantities": {
        "path_position": {
            "label": "position on the line",
            "symbol": "\\alpha",
            "meaning": "Where on the line from the earlier weights (0) to the measured ones (1).",
        },
        "train_loss_along_path": {
            "label": "train loss along the line",
            "meaning": "Mean loss over the training set at each position on the line, without any penalty.",
        },
        "train_accuracy_along_path": {
            "label": "train accuracy along the line",
            "unit": "%",
            "meaning": "Share of training samples classified correctly at each position on the line.",
        },
        "train_loss_barrier": {
            "label": "train loss barrier",
            "meaning": (
                "Largest training loss between the ends of the line minus the larger of the losses at the two ends."
            ),
        },
        "train_loss_halfway": {"label": "train loss halfway", "meaning": "Training loss at the middle of the line."},
        "test_loss_along_path": {
            "label": "test loss along the line",
            "meaning": "Mean loss over the test set at each position on the line, without any penalty.",
        },
        "test_accuracy_along_path": {
            "label": "test accuracy along the line",
            "unit": "%",
            "meaning": "Share of test samples classified correctly at each position on the line.",
        },
        "test_loss_barrier": {
            "label": "test loss barrier",
            "meaning": (
                "Largest test loss between the ends of the line minus the larger of the losses at the two ends."
            ),
        },
        "test_loss_halfway": {"label": "test loss halfway", "meaning": "Test loss at the middle of the line."},
    },
    "picture": {
        "quantity": "train_loss_along_path",
        "along": "path_position",
        "scale": "log",
        "settings": {"epochs": "last", "samples": 2000},
    },
}

FIRST, LAST = -1.0, 2.0
BUDGET = 200_000_000  # weights and outputs that the positions evaluated together may hold: 1 GB in float32


def measure(context: ProbeContext) -> list[Measurement]:
    """Evaluate each network at ``alpha b + (1 - alpha) a`` for 25 positions alpha from -1 to 2.

    b are the measured weights, a those of the same network at ``from_epoch``, by default before training; biases and
    BatchNorm's parameters included. Outside 0 to 1 the line goes on beyond its ends.

    * barrier: ``max_{0 <= alpha <= 1} L(alpha) - max(L(0), L(1))``, 0 where no position between the ends is worse than
      both;
    * halfway: ``L(1/2)``.

    All BatchNorm modes are allowed. In mode ``exact`` the statistics are recomputed at every position, on the whole
    training set; in mode ``running`` they are averaged like the weights, as in Li et al. (2018), and a variance does
    not fall below the smaller of the two beyond the ends; in mode ``batch`` each run of 1,000 images has its own, as
    in the source. `between` does the same for any two networks of one architecture.

    Cost: 25 networks are evaluated on both sets, and in mode ``exact`` once more for the statistics.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.points`` (25) is one more than a multiple of
            6, so that both ends and the middle are among the positions; ``options.samples`` limits the training images
            of loss and accuracy; ``options.from_epoch`` (0) is one of the saved epochs.

    Returns:
        float64: as arrays ``[K, position]`` ``path_position`` (alpha), ``train_loss_along_path``,
        ``train_accuracy_along_path``, ``test_loss_along_path`` and ``test_accuracy_along_path``; each ``[K]``
        ``train_loss_barrier``, ``test_loss_barrier``, ``train_loss_halfway`` and ``test_loss_halfway``.

    Raises:
        UserError: If the networks were not saved at ``from_epoch``.

    Source: Keskar et al. (2017), arXiv:1609.04836, figures 3 and 4; Goodfellow, Vinyals and Saxe (2015),
    arXiv:1412.6544, for the line from the start.
    """
    where = positions(context.options.points)
    begin = context.options.from_epoch
    if begin not in context.epochs:
        saved = ", ".join(f"{epoch:g}" for epoch in context.epochs)
        raise UserError(
            f"probe 'path': from_epoch: {begin:g} was not saved by all cells of the pack. Choose from: {saved}; or add "
            "it to `base.training.snapshots`."
        )
    curves = between(context, context.saved(begin), context.state, where)
    measured = [Measurement("path_position", where.expand(len(context.cells), -1), dims=("position",))]
    measured += [Measurement(f"{name}_along_path", values, dims=("position",)) for name, values in curves.items()]
    for split in ("train", "test"):
        barrier, halfway = barrier_and_middle(where, curves[f"{split}_loss"])
        measured += [Measurement(f"{split}_loss_barrier", barrier), Measurement(f"{split}_loss_halfway", halfway)]
    return measured


def positions(count: int) -> Tensor:
    """Positions from -1 to 2 in equal steps, 0, 1/2 and 1 exactly among them; float64 ``[count]``."""
    # In this order the ends and the middle are exact; steps that are added up would miss them.
    return (LAST - FIRST) * torch.arange(count, dtype=torch.float64) / (count - 1) + FIRST


def between(context: ProbeContext, a: State, b: State, where: Tensor) -> dict[str, Tensor]:
    """Loss and accuracy on the lines from networks a to networks b, e.g. of a small and of a large batch size.

    Args:
        context: What the networks are evaluated on and how: architecture, images and targets, loss and BatchNorm mode.
            Its own states and cells play no part.
        a: Stacked state ``[K, ...]`` at position 0, its statistics the running averages.
        b: The same at position 1.
        where: Positions ``[P]``.

    Returns:
        ``train_loss``, ``train_accuracy``, ``test_loss`` and ``test_accuracy``, each ``[K, P]``, float64; at positions
        0 and 1 those of a and b themselves.
    """
    rows = [_along(context, take(a, [place]), take(b, [place]), where) for place in range(n_networks(a))]
    return stacked(rows)


def line(arch: Architecture, a: State, b: State, where: Tensor) -> State:
    """The networks ``alpha b + (1 - alpha) a`` as one stack ``[P, ...]``; at 0 and 1 the bits of a and b.

    Args:
        arch: Names the variances, which stay at or above the smaller of the two.
        a: One network as a stack of one, ``[1, ...]``.
        b: The same.
        where: Positions alpha ``[P]``.
    """
    networks = {}
    for name, begin in a.items():
        alpha = where.to(begin).view(-1, *[1] * (begin.dim() - 1))
        networks[name] = alpha * b[name] + (1 - alpha) * begin
        if name in arch.buffers and name.endswith("running_var"):
            networks[name] = torch.maximum(networks[name], torch.minimum(begin, b[name]))
    return networks


def barrier_and_middle(where: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """How far the loss rises between positions 0 and 1 above the higher end, and the loss at 1/2.

    Args:
        where: Positions ``[P]``, 0, 1/2 and 1 among them.
        losses: ``[K, P]``.

    Returns:
        Two tensors ``[K]``; the first is at least 0.
    """
    between_ends = losses[:, (where >= 0) & (where <= 1)]
    ends = torch.maximum(between_ends[:, 0], between_ends[:, -1])
    return between_ends.amax(dim=1) - ends, losses[:, where == 0.5][:, 0]


def _along(context: ProbeContext, a: State, b: State, where: Tensor) -> Mapping[str, Tensor]:
    """The line of one network pair; every value ``[P]``. The bits depend only on this pair."""
    shape = context.train_images.shape[1:]
    n_outputs = context.arch.evaluation(torch.zeros(1, *shape, device="meta")).shape[1]
    most = max(len(context.train_images), len(context.test_images))
    parts = []
    for some in where.split(max(1, BUDGET // (context.arch.n_parameters + most * n_outputs))):
        networks = line(context.arch, a, b, some)
        networks = evaluation.for_mode(context.arch, networks, context.train_images, context.batchnorm)
        curves: dict[str, Tensor] = {}
        for split, images, targets in (
            ("train", *context.probe_images()),
            ("test", context.test_images, context.test_targets),
        ):
            outputs = evaluation.all_outputs(context.arch, networks, images, context.batchnorm, BATCH_SIZE)
            performance = evaluation.performance(outputs, targets, context.loss)
            curves |= {f"{split}_{measure}": performance[measure] for measure in ("loss", "accuracy")}
        parts.append(curves)
    return concatenate(parts)
