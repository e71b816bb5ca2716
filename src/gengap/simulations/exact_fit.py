"""A two-layer network with more weights than samples fits any labels (Zhang et al. 2017, theorem 1)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "Fit of random labels by the two-layer network that theorem 1 of Zhang et al. (2017) constructs.",
    "options": {
        "samples": {"type": "int", "default": 500, "ge": 2, "meaning": "Samples to fit."},
        "inputs": {"type": "int", "default": 784, "ge": 1, "meaning": "Inputs of the network."},
        "units": {
            "type": "float",
            "default": 1.0,
            "gt": 0,
            "le": 1,
            "meaning": "Hidden units, as a share of the samples: 1 is the theorem's.",
        },
    },
    "quantities": {
        "weights_per_sample": {
            "label": "weights per sample",
            "meaning": "Inputs and twice the hidden units, the theorem's count of weights, over the number of samples.",
        },
        "fit_residual": {
            "label": "largest residual of the fit",
            "symbol": "\\max_i |f(x_i)-y_i|",
            "meaning": "Largest distance of an output from its label, -1 or 1.",
        },
        "fit_errors": {
            "label": "samples fitted wrongly",
            "unit": "%",
            "meaning": "Share of the samples whose output has not the sign of its label.",
        },
        "fit_weight_norm": {
            "label": "norm of the output weights",
            "symbol": "\\|w\\|_2",
            "meaning": "Euclidean norm of the output weights.",
        },
    },
}
ONE_BY_ONE = True


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Fit random labels of normal samples, in float64 on the CPU.

    The network is ``f(x) = sum_j w_j max(0, a . x - b_j)``: every hidden unit reads the same direction a, and the
    thresholds b_j lie one below each projection ``a . x_i`` in their order. So the matrix of hidden activations is
    triangular with a diagonal above 0, and ``w`` solves it exactly: n units, 2 n + d weights for n samples of d inputs.
    With fewer units, thresholds lie below every second projection or so, and w is the least-squares solution.

    Args:
        point: Numbers of samples, inputs and units.
        seeds: Numbers of the draws: each has its own samples, labels and direction.
        device: Not used: one small system per draw.

    Returns:
        ``weights_per_sample``, ``fit_residual``, ``fit_errors`` and ``fit_weight_norm``: float64 ``[len(seeds)]``.
    """
    del device
    units = max(1, round(point.units * point.samples))
    found = np.array([_fit(*_drawn(point, seed), units) for seed in seeds])
    per_sample = np.full(len(seeds), (2 * units + point.inputs) / point.samples)
    names = ("fit_residual", "fit_errors", "fit_weight_norm")
    return {"weights_per_sample": torch.from_numpy(per_sample)} | {
        name: torch.from_numpy(found[:, place].copy()) for place, name in enumerate(names)
    }


def numbers_per_draw(point: Point) -> int:
    """The samples, and the hidden activations twice."""
    count: int = point.samples * point.inputs + 2 * point.samples**2
    return count


def _drawn(point: Point, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Projections ``[samples]``, ascending, and their labels, -1 or 1."""
    stream = seeding.stream(seed, seeding.SIMULATION, point.samples, point.inputs)
    samples = stream.standard_normal((point.samples, point.inputs))
    direction = stream.standard_normal(point.inputs)
    labels = 2.0 * stream.integers(2, size=point.samples) - 1  # independent of the samples: sorting changes nothing
    return np.sort(samples @ direction / np.linalg.norm(direction)), labels


def _fit(projections: NDArray[np.float64], labels: NDArray[np.float64], units: int) -> tuple[float, float, float]:
    """Largest residual, share of wrong signs, and norm of the output weights."""
    hidden = activations(projections, units)
    weights = np.linalg.lstsq(hidden, labels, rcond=None)[0] if units < len(labels) else np.linalg.solve(hidden, labels)
    outputs = hidden @ weights
    wrong = float((np.sign(outputs) != labels).mean())
    return float(np.abs(outputs - labels).max()), wrong, float(np.linalg.norm(weights))


def activations(projections: NDArray[np.float64], units: int) -> NDArray[np.float64]:
    """Hidden activations ``[samples, units]``: one threshold halfway below each of `units` projections.

    Args:
        projections: ``[samples]``, ascending.
        units: At most as many.
    """
    below = np.concatenate([[projections[0] - 1], (projections[1:] + projections[:-1]) / 2])
    chosen = np.round(np.linspace(0, len(projections) - 1, units)).astype(int)
    hidden: NDArray[np.float64] = np.maximum(0.0, projections[:, None] - below[None, chosen])
    return hidden
