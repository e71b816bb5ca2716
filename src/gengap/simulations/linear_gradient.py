"""How unequal the layers' gradients of a deep linear network are before training (Song 2019, Fig. 4.3)."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": ("Largest over smallest layer gradient of a deep linear network at its start (Song 2019, Fig. 4.3)."),
    "options": {
        "depth": {"type": "int", "default": 10, "ge": 1, "meaning": "Fully connected layers of a network."},
        "width": {"type": "int", "default": 64, "ge": 1, "meaning": "Units of every hidden layer."},
        "input_size": {
            "type": "int",
            "choices": ("width",),
            "default": "width",
            "ge": 1,
            "meaning": "Inputs of a network.",
        },
        "output_size": {
            "type": "int",
            "choices": ("width",),
            "default": "width",
            "ge": 1,
            "meaning": "Outputs of a network.",
        },
        "batch_size": {
            "type": "int",
            "default": 256,
            "ge": 1,
            "meaning": "Samples in the batch whose gradient is taken.",
        },
    },
    "uses": ("gradient_ratio",),
}


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """The ratio ``R = max_l g_l / min_l g_l`` of ``depth`` fully connected linear layers, for every seed.

    ``g_l`` is the Frobenius norm of the mean squared error's gradient with respect to the weights of layer l. Weights
    are Xavier normal, biases zero (with no effect on any ``g_l`` and left out), inputs and targets standard normal.
    The loss, its scale and the batch are not printed in the source; R does not depend on the loss's scale.

    Args:
        point: Depth, width, sizes of input and output, batch size.
        seeds: Numbers of the draws: each has its own weights, inputs and targets.
        device: Where the gradients are computed; the numbers are drawn on the CPU.

    Returns:
        ``gradient_ratio``: float64 ``[len(seeds)]``.
    """
    drawn = [network(point, seed) for seed in seeds]
    weights = [torch.stack(layer).to(device) for layer in zip(*(weights for weights, _, _ in drawn), strict=True)]
    inputs = torch.stack([inputs for _, inputs, _ in drawn]).to(device)
    targets = torch.stack([targets for _, _, targets in drawn]).to(device)
    norms = gradient_norms(weights, inputs, targets)
    return {"gradient_ratio": (norms.amax(dim=0) / norms.amin(dim=0)).cpu()}


def numbers_per_draw(point: Point) -> int:
    """Weights twice, since they are stacked, and the batch in every layer."""
    sizes = layer_sizes(point)
    count: int = 2 * sum(a * b for a, b in itertools.pairwise(sizes)) + 2 * point.batch_size * sum(sizes)
    return count


def layer_sizes(point: Point) -> list[int]:
    """Units from the input to the output: ``depth + 1`` numbers."""
    ends = [point.width if size == "width" else size for size in (point.input_size, point.output_size)]
    return [ends[0], *[point.width] * (point.depth - 1), ends[1]]


def network(point: Point, seed: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """One draw: float64 weights ``[out, in]`` of every layer, inputs ``[batch, in]``, targets ``[batch, out]``."""
    sizes = layer_sizes(point)
    stream = seeding.stream(seed, seeding.SIMULATION, *sizes, point.batch_size)

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(stream.standard_normal(shape))

    # Xavier: variance 2 / (fan_in + fan_out), Glorot and Bengio (2010), equation 12.
    weights = [
        np.sqrt(2 / (fan_in + fan_out)) * normal(fan_out, fan_in) for fan_in, fan_out in itertools.pairwise(sizes)
    ]
    return weights, normal(point.batch_size, sizes[0]), normal(point.batch_size, sizes[-1])


def gradient_norms(weights: Sequence[Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
    """Frobenius norms of every layer's gradient of the mean squared error, for K networks at once.

    Args:
        weights: ``[K, out, in]`` of every layer.
        inputs: ``[K, batch, in]``.
        targets: ``[K, batch, out]``.

    Returns:
        ``[layers, K]``.
    """
    activations = [inputs]
    for weight in weights:
        activations.append(torch.bmm(activations[-1], weight.mT))
    error = 2 * (activations[-1] - targets) / targets[0].numel()
    norms = []
    for weight, below in zip(reversed(weights), reversed(activations[:-1]), strict=True):
        norms.append(torch.bmm(error.mT, below).flatten(1).norm(dim=1))
        error = torch.bmm(error, weight)
    return torch.stack(norms[::-1])
