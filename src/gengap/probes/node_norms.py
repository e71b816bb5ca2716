"""What enters each hidden node and what reads it: fan-in and fan-out norms, and how far the former drifted."""

import torch

from gengap.engine.graph.node_weights import entering_norms, leaving_norms, node_weights
from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Fan-in and fan-out norms of every node, and the drift of the former (Luck Matters 2019, theorem 3).",
    "weights_only": True,
    "quantities": {
        "fan_in_norm": {
            "label": "fan-in norm",
            "symbol": "\\|w_k\\|",
            "meaning": "Euclidean norm of the weights and biases that enter node k.",
        },
        "fan_out_norm": {
            "label": "fan-out norm",
            "symbol": "\\|v_k\\|",
            "meaning": "Euclidean norm of the weights that read node k.",
        },
        "fan_in_norm_drift": {
            "label": "drift of the squared fan-in norms",
            "meaning": "Mean over nodes of |squared fan-in norm / squared fan-in norm before training - 1|.",
        },
        "largest_fan_in_norm_drift": {
            "label": "largest drift of a squared fan-in norm",
            "meaning": "Largest value over nodes of |squared fan-in norm / squared fan-in norm before training - 1|.",
        },
    },
    "picture": {"quantity": "fan_in_norm_drift", "layers": ["relu1", "relu2", "relu"]},
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure, for every node of every hidden layer, the norms of the weights that enter it and that read it.

    A node is a unit, or a channel. With w_k its row of the layer before, bias included, and v_k its columns of the
    layers that read it, ``fan_in_norm`` is ``|w_k|`` and ``fan_out_norm`` is ``|v_k|``. BatchNorm's scales and
    statistics are not multiplied in.

    ``fan_in_norm_drift`` is the mean over nodes of ``| |w_k(t)|^2 / |w_k(0)|^2 - 1 |``, and
    ``largest_fan_in_norm_drift`` the largest value. Where BatchNorm follows, directly or after a ReLU, the output does
    not change with ``|w_k|`` (but for BatchNorm's eps), so the gradient is orthogonal to w_k: under gradient flow the
    norm is constant, and a step of plain gradient descent at rate r adds r^2 times the squared gradient.

    Cost: none to speak of.

    Args:
        context: K networks; see `ProbeContext`. Norms of weights depend on no BatchNorm mode.

    Returns:
        By activation, float64: arrays ``fan_in_norm`` and ``fan_out_norm`` ``[K, node]``, and the two drifts ``[K]``.

    Raises:
        ValueError: If the network has no graph.

    Source: Tian et al. (2019), arXiv:1905.13405, theorem 3 (norms) and theorem 5 (fan-out).
    """
    measured = []
    for layer, around in node_weights(context.arch).items():
        now, start = entering_norms(around, context.state), entering_norms(around, context.start)
        drift = ((now / start).square() - 1).abs()
        measured += [
            Measurement("fan_in_norm", now, layer, ("node",)),
            Measurement("fan_in_norm_drift", torch.stack([network.mean() for network in drift]), layer),
            Measurement("largest_fan_in_norm_drift", drift.amax(dim=1), layer),
        ]
        if around.leaving:
            read = leaving_norms(around, context.state, now.shape[1])
            measured.append(Measurement("fan_out_norm", read, layer, ("node",)))
    return measured
