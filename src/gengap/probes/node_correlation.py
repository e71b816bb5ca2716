"""How closely a student's hidden nodes follow those of the teacher that labelled, and which of them were lucky."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.engine import evaluation
from gengap.engine.activations import activation_names, activations
from gengap.engine.stack import State, n_networks, take
from gengap.probes.context import Measurement, ProbeContext, Teacher

PART = {
    "summary": (
        "Correlation of the student's nodes with the teacher's, and the ranks of the winners (Luck Matters 2019)."
    ),
    "reads": ("samples",),
    "options": {
        "draws": {
            "type": "int",
            "default": 3,
            "ge": 1,
            "meaning": "Random orders of the images that give the correlation by chance.",
        },
    },
    "batchnorm": ("running", "exact"),
    "teacher": True,
    "quantities": {
        "node_correlation": {
            "label": "node correlation",
            "symbol": "\\rho_{jk}",
            "meaning": (
                "Pearson correlation of the activations of teacher node j and student node k; 0 where "
                "either is constant."
            ),
        },
        "best_node_correlation": {
            "label": "mean best node correlation",
            "symbol": "\\bar\\rho",
            "meaning": "Mean over teacher nodes of the correlation with the student node that correlates most.",
        },
        "best_node_correlation_by_chance": {
            "label": "mean best node correlation by chance",
            "symbol": "\\bar\\rho_0",
            "meaning": (
                "The mean best node correlation once the teacher saw the images in another order: what chance gives."
            ),
        },
        "best_node_correlation_by_chance_standard_error": {
            "label": "standard error of the mean best node correlation by chance",
            "meaning": "Standard error of `best_node_correlation_by_chance` over the orders.",
        },
        "final_winner_rank": {
            "label": "rank of the final winners",
            "symbol": "\\bar r",
            "meaning": (
                "Mean over teacher nodes of the rank, at this epoch, of the student node that is best "
                "after training: 0 is first, 1 last."
            ),
        },
        "winner_start_rank": {
            "label": "rank of the winners at the start",
            "symbol": "\\bar r_0",
            "meaning": (
                "Mean over teacher nodes of the rank, before training, of the student node that is best "
                "at this epoch: 0 is first, 1 last."
            ),
        },
        "dead_teacher_nodes": {
            "label": "dead teacher nodes",
            "unit": "nodes",
            "meaning": "Nodes of the teacher's layer whose activation is the same for all samples.",
        },
        "dead_student_nodes": {
            "label": "dead student nodes",
            "unit": "nodes",
            "meaning": "Nodes of the student's layer whose activation is the same for all samples.",
        },
    },
    "picture": {
        "quantity": "best_node_correlation",
    },
}

_IMAGES = 200  # per call: 640 channels of 14 x 14 pixels in float64 are then 200 MB


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure Pearson's correlation rho[j, k] of teacher node j and student node k, over the probe's images.

    A node is a unit, or a channel, after its ReLU and before any BatchNorm there, which changes no correlation but by
    the sign of its scale. For a channel every position of every image is a sample. Layers are matched by name. A node
    that is constant over all samples is dead: its correlations count as 0, and dead teacher nodes enter no mean.

    * ``best_node_correlation``: mean over teacher nodes j of max_k rho[j, k].
    * ``best_node_correlation_by_chance``: the same once the teacher saw the images in another order, mean over
      ``options.draws`` (3) orders whose seeds come from the cell. More students, or fewer samples, give more of it.
    * ``final_winner_rank``: the paper's mean rank. The winner of j is the student k with the largest rho[j, k] after
      training; its rank is the number of students with a larger correlation at the measured epoch, over n_students - 1.
    * ``winner_start_rank``: the rank in the authors' code. The student that is best at the measured epoch is looked up
      before training, and its rank there divided alike.

    The samples are read once, with moments as of Chan, Golub and LeVeque (1983), so that their number costs no memory.

    Args:
        context: K networks, their teacher and images; see `ProbeContext`. ``options.samples`` limits the images.

    Returns:
        By layer, float64: the four means above ``[K]``, ``best_node_correlation_by_chance_standard_error`` over the
        draws (from two on), ``dead_teacher_nodes`` and ``dead_student_nodes`` ``[K]``, and the array
        ``node_correlation`` ``[K, teacher_node, student_node]``. If all nodes of the teacher's layer are dead, the
        means are not numbers.

    Raises:
        ValueError: If there is no teacher, or if no layer of it fits a layer of the networks.

    Source: Tian et al. (2019), arXiv:1905.13405, figures 7 to 9. The authors' code adds 1e-10 under the root instead of
    counting dead nodes, and reads 192 samples.
    """
    teacher = teacher_of(context)
    n_draws = context.options.draws
    by_layer = correlations(context, teacher, context.state, n_draws)
    start, final = correlations_at(context, teacher, 0.0), correlations_at(context, teacher, math.inf)
    measured = []
    for layer, correlation in by_layer.items():
        best = mean_best(correlation)
        rho, chance = correlation.rho[:, 0], best[:, 1:]
        final_rank = _rank(rho, final[layer].argmax(dim=2))
        start_rank = _rank(start[layer], rho.argmax(dim=2))
        measured += [
            Measurement("node_correlation", rho, layer, ("teacher_node", "student_node")),
            Measurement("best_node_correlation", best[:, 0], layer),
            Measurement("best_node_correlation_by_chance", chance.sum(dim=1) / n_draws, layer),
            Measurement("final_winner_rank", _mean(final_rank, correlation.live_teacher), layer),
            Measurement("winner_start_rank", _mean(start_rank, correlation.live_teacher), layer),
            Measurement("dead_teacher_nodes", (~correlation.live_teacher).sum(dim=1).double(), layer),
            Measurement("dead_student_nodes", (~correlation.live_student).sum(dim=1).double(), layer),
        ]
        if n_draws > 1:
            # Row by row: torch's order of summation, and so the last bit, depends on the number of rows.
            error = torch.stack([row.std() for row in chance]) / n_draws**0.5
            measured.append(Measurement("best_node_correlation_by_chance_standard_error", error, layer))
    return measured


@dataclass(frozen=True)
class Correlation:
    """Of one layer.

    Attributes:
        rho: ``[K, 1 + draws, teacher nodes, student nodes]``: the true one first, then those of shuffled images.
        live_teacher: Which teacher nodes are not constant, ``[K, nodes]``.
        live_student: Which student nodes are not constant, ``[K, nodes]``.
    """

    rho: Tensor
    live_teacher: Tensor
    live_student: Tensor


def mean_best(correlation: Correlation) -> Tensor:
    """Mean over live teacher nodes of the largest correlation, ``[K, 1 + draws]``, the true one first."""
    return _mean(correlation.rho.amax(dim=3), correlation.live_teacher.unsqueeze(1))


def correlations(
    context: ProbeContext, teacher: Teacher, state: State, n_draws: int = 0, images_of: Sequence[Tensor] | None = None
) -> dict[str, Correlation]:
    """Correlate the nodes of every layer that the teacher shares with networks of the context's architecture.

    Args:
        context: Gives architecture, images, and the cells that seed the draws.
        teacher: See `teacher_of`.
        state: Stacked state ``[K, ...]``, already made for the BatchNorm mode.
        n_draws: How often to shuffle the images, for which the networks must be the context's cells in their order.
        images_of: Images for each network, ``[N, C, H, W]``; by default the probe's own for all.
    """
    layers = _shared_layers(context, teacher)
    comoments: dict[str, list[Comoments]] = {layer: [] for layer in layers}
    for place in range(n_networks(state)):
        network = take(state, [place])
        images = context.probe_images()[0] if images_of is None else images_of[place]
        orders = _orders(context.cells[place].seed, n_draws, len(images)).to(images.device)
        moments = {layer: Comoments() for layer in layers}
        for batch in orders.split(_IMAGES, dim=1):
            student = activations(context.network, network, images[batch[0]], layers)
            shown = images[batch.flatten()]
            taught = activations(teacher.arch.evaluation, teacher.state, shown, layers)
            for layer in layers:
                moments[layer].add(_samples(taught[layer][0], len(batch)), _samples(student[layer][0], 1))
        for layer in layers:
            comoments[layer].append(moments[layer])
    return {
        layer: Correlation(
            torch.stack([network_comoments.correlation() for network_comoments in each]),
            torch.stack([network_comoments.live[0][0] for network_comoments in each]),
            torch.stack([network_comoments.live[1][0] for network_comoments in each]),
        )
        for layer, each in comoments.items()
    }


class Comoments:
    """Variances and covariances of the nodes of two layers, from samples that come in pieces.

    Values are taken relative to the first sample, so that a constant node has variance 0 exactly, and merged about
    their means, so that nothing cancels (Chan, Golub and LeVeque 1983).
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: tuple[Tensor, Tensor]
        self.means: tuple[Any, Any] = (0.0, 0.0)
        self.squares: tuple[Any, Any] = (0.0, 0.0)
        self.products: Any = 0.0

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in the same samples of both layers, ``[..., samples, nodes]`` each, float64."""
        if not self.count:
            self.first = x[..., :1, :], y[..., :1, :]
        count = x.shape[-2]
        total = self.count + count
        weight = self.count * count / total
        values = [piece - first for piece, first in zip((x, y), self.first, strict=True)]
        means = [value.mean(dim=-2) for value in values]
        centred = [value - mean.unsqueeze(-2) for value, mean in zip(values, means, strict=True)]
        steps = [mean - old for mean, old in zip(means, self.means, strict=True)]
        self.products = self.products + centred[0].mT @ centred[1]
        self.products += weight * steps[0].unsqueeze(-1) * steps[1].unsqueeze(-2)
        self.squares = tuple(
            old + part.square().sum(dim=-2) + weight * step.square()
            for old, part, step in zip(self.squares, centred, steps, strict=True)
        )
        self.means = tuple(old + step * (count / total) for old, step in zip(self.means, steps, strict=True))
        self.count = total

    @property
    def live(self) -> tuple[Tensor, Tensor]:
        """Which nodes of either layer are not constant, ``[..., nodes]``."""
        return self.squares[0] > 0, self.squares[1] > 0

    def correlation(self) -> Tensor:
        """Pearson's correlation ``[..., nodes of x, nodes of y]``; 0 where a node is constant."""
        x, y = (torch.where(live, square.rsqrt(), 0) for live, square in zip(self.live, self.squares, strict=True))
        rho: Tensor = self.products * x.unsqueeze(-1) * y.unsqueeze(-2)
        return rho


def teacher_of(context: ProbeContext) -> Teacher:
    """The network that labelled; a ValueError if none did."""
    if context.teacher is None:
        raise ValueError(
            "there is no teacher to compare with: set labels.name to a rule with a teacher. If it is one, the file in "
            "data/labelled is of an earlier version: remove it, and run the study again"
        )
    return context.teacher


def _shared_layers(context: ProbeContext, teacher: Teacher) -> list[str]:
    names = activation_names(context.arch.evaluation)
    taught = activation_names(teacher.arch.evaluation)
    if not set(names) & set(taught):
        raise ValueError(
            f"the teacher's layers ({', '.join(taught)}) and the network's ({', '.join(names)}) have no name in "
            "common: choose a model of the teacher's kind"
        )
    return [name for name in names if name in taught]


def _orders(seed: int, n_draws: int, n_images: int) -> Tensor:
    """The images in their own order, then shuffled, ``[1 + n_draws, n_images]``."""
    shuffled = [seeding.stream(seed, seeding.PROBE, draw).permutation(n_images) for draw in range(n_draws)]
    return torch.from_numpy(np.stack([np.arange(n_images), *shuffled]))


def _samples(activation: Tensor, n_orders: int) -> Tensor:
    """Turn ``[orders * N, nodes, ...]`` into ``[orders, samples, nodes]``: every position of an image is a sample."""
    rows = activation.flatten(2).mT if activation.dim() > 2 else activation
    return rows.reshape(n_orders, -1, activation.shape[1]).double()


def correlations_at(context: ProbeContext, teacher: Teacher, epoch: float) -> dict[str, Tensor]:
    """The true correlations ``[K, teacher nodes, student nodes]`` of the context's networks at another epoch."""
    cells = list(dict.fromkeys(context.cells))  # a cell has several checkpoints in a context, and one start
    saved = take(context.saved(epoch), [context.cells.index(cell) for cell in cells])
    state = evaluation.for_mode(context.arch, saved, context.train_images, context.batchnorm)
    places = [cells.index(cell) for cell in context.cells]
    return {layer: correlation.rho[places, 0] for layer, correlation in correlations(context, teacher, state).items()}


def _rank(rho: Tensor, student: Tensor) -> Tensor:
    """Share of the other students that correlate more with each teacher node than the given one.

    Args:
        rho: ``[K, teacher nodes, student nodes]``.
        student: One student node for each teacher node, ``[K, teacher nodes]``.
    """
    own = rho.gather(2, student.unsqueeze(2))
    return (rho > own).sum(dim=2).double() / max(rho.shape[2] - 1, 1)


def _mean(values: Tensor, live: Tensor) -> Tensor:
    """Mean over the live teacher nodes, the last dimension; not a number if there is none."""
    return torch.where(live, values, 0).sum(dim=-1) / live.sum(dim=-1)
