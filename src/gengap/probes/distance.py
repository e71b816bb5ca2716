"""Norm of the weights, and how far they have moved."""

import torch
from torch import Tensor

from gengap.engine.stack import State
from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Weight norm and distance from the start.",
    "weights_only": True,
    "quantities": {
        "weight_norm": {
            "label": "weight norm",
            "symbol": "\\|\\theta\\|_2",
            "meaning": "Euclidean norm of all parameters.",
            "rescaling_invariant": False,
        },
        "layer_weight_norm": {
            "label": "layer weight norm",
            "symbol": "\\|W_l\\|_F",
            "meaning": "Frobenius norm of one layer's weight tensor.",
        },
        "distance_from_start": {
            "label": "distance from the start",
            "symbol": "\\|\\theta-\\theta_0\\|_2",
            "meaning": "Euclidean distance of all parameters from their initial values.",
            "rescaling_invariant": False,
        },
        "layer_distance_from_start": {
            "label": "layer distance from the start",
            "symbol": "\\|W_l-W_{l,0}\\|_F",
            "meaning": "Frobenius distance of one layer's weights from their initial values.",
        },
    },
    "picture": {
        "quantity": "distance_from_start",
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure ``||theta||_2`` and ``||theta - theta_0||_2`` over all parameters, and the same in each layer's weights.

    BatchNorm's scale and shift are parameters and count; its statistics do not, so the mode plays no part.

    Cost: none to speak of; no image is read.

    Args:
        context: K networks; see `ProbeContext`. ``start`` holds theta_0.

    Returns:
        ``weight_norm``, ``distance_from_start``; by layer ``layer_weight_norm`` and ``layer_distance_from_start``
        (biases excluded); each ``[K]``, float64.

    Source: Neyshabur et al. (2017), arXiv:1706.08947, section 3; Nagarajan and Kolter (2019), arXiv:1901.01672.
    """
    parameters = {name: context.state[name].double() for name in context.arch.parameters}
    moved = {name: value - context.start[name].double() for name, value in parameters.items()}
    measured = [Measurement("weight_norm", _norm(parameters)), Measurement("distance_from_start", _norm(moved))]
    for layer in context.arch.layers:
        name = f"{layer}.weight"
        measured.append(Measurement("layer_weight_norm", _norm({name: parameters[name]}), layer))
        measured.append(Measurement("layer_distance_from_start", _norm({name: moved[name]}), layer))
    return measured


def _norm(tensors: State) -> Tensor:
    squares = [value.flatten(1).square().sum(dim=1) for value in tensors.values()]
    return torch.stack(squares).sum(dim=0).sqrt()
