"""The student nodes that end up closest to a teacher node: their fan-out, and what told early that they would win."""

import math

import torch
from torch import Tensor

from gengap.engine.graph.node_weights import entering_norms, leaving_norms, node_weights
from gengap.probes.context import Measurement, ProbeContext
from gengap.probes.node_correlation import correlations, correlations_at, teacher_of

PART = {
    "summary": "Fan-out of winning and losing nodes, and what predicts at each epoch which nodes will win.",
    "reads": ("samples",),
    "batchnorm": ("running", "exact"),
    "teacher": True,
    "quantities": {
        "winner_share": {
            "label": "share of winners",
            "meaning": "Share of a layer's nodes that correlate most with a teacher node after training.",
        },
        "winner_fan_out_norm": {
            "label": "fan-out norm of winners",
            "meaning": "Mean fan-out norm, at this epoch, of the nodes that win.",
        },
        "loser_fan_out_norm": {
            "label": "fan-out norm of losers",
            "meaning": "Mean fan-out norm, at this epoch, of the nodes that do not win.",
        },
        "loser_fan_out_ratio": {
            "label": "fan-out of losers over winners",
            "meaning": "Mean fan-out norm of the losers divided by that of the winners.",
        },
        "winner_auc_by_correlation": {
            "label": "AUC of the correlation at this epoch",
            "meaning": (
                "Chance that a final winner has a larger best correlation with a teacher node, at this epoch, than "
                "another node."
            ),
        },
        "winner_auc_by_fan_in": {
            "label": "AUC of the fan-in norm",
            "meaning": "Chance that a final winner has a larger fan-in norm, at this epoch, than another node.",
        },
        "winner_auc_by_fan_out": {
            "label": "AUC of the fan-out norm",
            "meaning": "Chance that a final winner has a larger fan-out norm, at this epoch, than another node.",
        },
        "winner_auc_by_gradient": {
            "label": "AUC of the gradient norm",
            "meaning": "Chance that a final winner has a larger gradient, at this epoch, than another node.",
        },
    },
    "picture": {"quantity": "winner_auc_by_correlation", "layers": ["relu1", "relu2", "relu"]},
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure how the nodes that win fare at an epoch, and how well four numbers tell them from the others there.

    Node k of a layer is a *winner* if, after training, it correlates more with some live teacher node than any other
    does (`node_correlation`). ``winner_fan_out_norm`` and ``loser_fan_out_norm`` are means of the norms of the weights
    that read a node (`node_norms`), ``loser_fan_out_ratio`` their quotient.

    The ``winner_auc_by_...`` are areas under the curve of the receiver's operation: the chance that a winner drawn at
    random has the larger number than a loser drawn at random, ties counting half; 0.5 is chance. The numbers are those
    of the measured epoch: a node's largest correlation with any teacher node, the norm of what enters it, of what reads
    it, and of the training loss's gradient with respect to what enters it. For a single teacher node the area under the
    curve of its correlations is 1 minus the rank in `node_correlation`.

    Cost: one gradient, and the correlations at two epochs.

    Args:
        context: K networks, their teacher and images; see `ProbeContext`. ``options.samples`` limits the images.

    Returns:
        By layer, float64 ``[K]``: all quantities. Where every node wins, or none, areas and losers are not numbers.

    Raises:
        ValueError: If there is no teacher, or if no layer of it fits a layer of the networks.

    Source: Tian et al. (2019), arXiv:1905.13405, sections 4 and 5.2, for winners and their fan-out; the areas are ours.
    """
    teacher = teacher_of(context)
    now, final = correlations(context, teacher, context.state), correlations_at(context, teacher, math.inf)
    around, gradient = node_weights(context.arch), context.objective().gradient()
    measured = []
    for layer, correlation in now.items():
        rho = correlation.rho[:, 0]
        won = _winners(final[layer], correlation.live_teacher)
        scores = {
            "correlation": rho.amax(dim=1),
            "fan_in": entering_norms(around[layer], context.state),
            "fan_out": leaving_norms(around[layer], context.state, rho.shape[2]),
            "gradient": entering_norms(around[layer], gradient),
        }
        winning, losing = _mean(scores["fan_out"], won), _mean(scores["fan_out"], ~won)
        measured += [
            Measurement("winner_share", won.double().sum(dim=1) / won.shape[1], layer),
            Measurement("winner_fan_out_norm", winning, layer),
            Measurement("loser_fan_out_norm", losing, layer),
            Measurement("loser_fan_out_ratio", losing / winning, layer),
        ]
        for name, values in scores.items():
            areas = [area_under_curve(*network) for network in zip(values, won, strict=True)]
            measured.append(Measurement(f"winner_auc_by_{name}", torch.stack(areas), layer))
    return measured


def area_under_curve(scores: Tensor, positive: Tensor) -> Tensor:
    """Chance that a positive has a larger score than a negative, ties counting half; not a number without both.

    Args:
        scores: ``[N]``.
        positive: bool ``[N]``.
    """
    ours, others = scores[positive], scores[~positive]
    difference = ours[:, None] - others
    wins = (difference > 0).double() + 0.5 * (difference == 0).double()
    return wins.sum() / (len(ours) * len(others)) if len(ours) and len(others) else torch.tensor(math.nan).double()


def _winners(rho: Tensor, live: Tensor) -> Tensor:
    """Which student nodes are the best of some live teacher node.

    Args:
        rho: Correlations after training, ``[K, teacher nodes, student nodes]``.
        live: ``[K, teacher nodes]``.

    Returns:
        bool ``[K, student nodes]``.
    """
    won = torch.zeros(rho.shape[0], rho.shape[2], dtype=torch.float64, device=rho.device)
    return won.scatter_add(1, rho.argmax(dim=2), live.double()) > 0


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen nodes of every network; not a number if there is none."""
    return torch.where(chosen, values, 0).sum(dim=1) / chosen.sum(dim=1)
