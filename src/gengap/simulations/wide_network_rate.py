"""How fast gradient descent fits a wide network of one hidden layer (Du et al. 2019)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "Gradient descent on a wide network of one hidden layer: rate, drift and changed ReLUs (Du 2019).",
    "options": {
        "width": {"type": "int", "default": 256, "ge": 1, "meaning": "Hidden units, m."},
        "samples": {"type": "int", "default": 50, "ge": 2, "meaning": "Training inputs, n."},
        "inputs": {"type": "int", "default": 20, "ge": 2, "meaning": "Dimension d of an input, of norm 1."},
        "rate": {
            "type": "float",
            "default": 0.5,
            "gt": 0,
            "lt": 2,
            "meaning": "Learning rate times the largest eigenvalue of the kernel of infinite width.",
        },
        "steps": {"type": "int", "default": 2000, "ge": 4, "meaning": "Steps of gradient descent."},
    },
    "quantities": {
        "convergence_rate": {
            "label": "convergence rate",
            "meaning": "Fall of the logarithm of the loss per step, over the second half of the steps.",
        },
        "rate_over_bound": {
            "label": "rate over its lower bound",
            "meaning": "`convergence_rate` over eta lambda_0 / 2, the rate that the theorem guarantees.",
        },
        "least_rate_over_bound": {
            "label": "least rate over its lower bound",
            "meaning": "Fall of the logarithm of the loss per step from the start to a step, over the fall that the "
            "theorem guarantees per step; of the step with the least. The guarantee holds where it is at least 1.",
        },
        "loss_linearity": {
            "label": "linearity of the logarithm of the loss",
            "symbol": "R^2",
            "meaning": "Share of the variance of the log loss over the second half that a straight line explains.",
        },
        "kernel_eigenvalue": {
            "label": "smallest eigenvalue of the kernel",
            "symbol": "\\lambda_0",
            "meaning": "Smallest eigenvalue of the kernel of infinite width on the training inputs.",
        },
        "start_eigenvalue_ratio": {
            "label": "smallest eigenvalue at the start",
            "symbol": "\\lambda_{\\min}(H(0))/\\lambda_0",
            "meaning": "Smallest eigenvalue of the network's kernel at its start over `kernel_eigenvalue`.",
        },
        "changed_patterns": {
            "label": "changed ReLUs",
            "unit": "%",
            "meaning": "Share of units that switch between start and end, of the input of which most do.",
        },
        "largest_drift": {
            "label": "largest drift of a unit",
            "symbol": "\\max_r\\|w_r-w_r(0)\\|",
            "meaning": "Largest distance of a unit's weights from their start.",
        },
    },
}

_DATA, _WEIGHTS = range(2)
_SMALLEST = 1e-26  # share of the first loss below which rounding decides


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Train the first layer of ``f(x) = sum_r a_r relu(w_r . x) / sqrt(m)`` on half the sum of squared errors.

    ``w_r`` starts standard normal, ``a_r`` is -1 or +1 and stays. Inputs are uniform on the sphere, targets standard
    normal. The kernel of infinite width is ``H_ij = x_i . x_j (pi - arccos(x_i . x_j)) / (2 pi)``; with its smallest
    eigenvalue lambda_0, theorem 4.1 guarantees ``|y - u|^2`` to fall by ``1 - eta lambda_0 / 2`` at every step, if the
    width is of the order ``n^6 / lambda_0^4``. Rates are measured over the second half of the steps, or of those until
    the loss is that of rounding.

    Args:
        point: Sizes, rate and steps.
        seeds: Numbers of the draws; inputs and targets are the same for every width.
        device: Where it is computed, in float64; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``.

    Source: Du, Zhai, Poczos and Singh (2019), Gradient descent provably optimizes over-parameterized neural networks.
    """
    inputs, targets, first, signs = (
        torch.stack(one).to(device) for one in zip(*(_drawn(point, s) for s in seeds), strict=True)
    )
    limit = torch.linalg.eigvalsh(infinite_kernel(inputs))
    eta = point.rate / limit[:, -1]
    # One tensor: thousands of small ones, each between large ones that are freed, would keep the heap from shrinking.
    losses = torch.empty(len(seeds), point.steps + 1, dtype=torch.float64, device=device)
    weights = first
    for step in range(point.steps + 1):
        losses[:, step], gradient = loss_and_gradient(weights, signs, inputs, targets)
        weights = weights - eta[:, None, None] * gradient
    logs = losses.log()
    slopes, linearity = _line(logs)
    before, after = (inputs @ w.mT > 0 for w in (first, weights))
    start = torch.linalg.eigvalsh(kernel(inputs, first))[:, 0]
    found = {
        "convergence_rate": -slopes,
        "rate_over_bound": -slopes / (eta * limit[:, 0] / 2),
        "least_rate_over_bound": _least_rate(logs) / -torch.log1p(-eta * limit[:, 0] / 2),
        "loss_linearity": linearity,
        "kernel_eigenvalue": limit[:, 0],
        "start_eigenvalue_ratio": start / limit[:, 0],
        "changed_patterns": (before != after).double().mean(dim=2).amax(dim=1),
        "largest_drift": (weights - first).norm(dim=2).amax(dim=1),
    }
    return {name: value.cpu() for name, value in found.items()}


def numbers_per_draw(point: Point) -> int:
    """Weights with gradients, and every unit's answer to every input."""
    count: int = 4 * point.width * (point.inputs + point.samples) + point.steps
    return count


def loss_and_gradient(weights: Tensor, signs: Tensor, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Half the sum of squared errors ``[S]``, and its gradient by the weights ``[S, m, d]``."""
    before = inputs @ weights.mT
    scaled = signs[:, None] / math.sqrt(weights.shape[1])
    error = (before.clamp(min=0) * scaled).sum(dim=2) - targets
    pull = error[:, :, None] * (before > 0) * scaled
    return error.square().sum(dim=1) / 2, pull.mT @ inputs


def infinite_kernel(inputs: Tensor) -> Tensor:
    """H of infinite width for inputs of norm 1, ``[S, n, n]``."""
    cosines = (inputs @ inputs.mT).clamp(-1, 1)
    found: Tensor = cosines * (math.pi - cosines.arccos()) / (2 * math.pi)
    return found


def kernel(inputs: Tensor, weights: Tensor) -> Tensor:
    """H of a network: ``x_i . x_j`` times the share of units that are on for both, ``[S, n, n]``."""
    on = (inputs @ weights.mT > 0).double()
    return (inputs @ inputs.mT) * (on @ on.mT) / weights.shape[1]


def _drawn(point: Point, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    data = seeding.stream(seed, seeding.SIMULATION, _DATA, point.samples, point.inputs)
    inputs = torch.from_numpy(data.standard_normal((point.samples, point.inputs)))
    targets = torch.from_numpy(data.standard_normal(point.samples))
    wide = seeding.stream(seed, seeding.SIMULATION, _WEIGHTS, point.width, point.inputs)
    weights = torch.from_numpy(wide.standard_normal((point.width, point.inputs)))
    return (
        inputs / inputs.norm(dim=1, keepdim=True),
        targets,
        weights,
        torch.from_numpy(wide.choice([-1.0, 1.0], point.width)),
    )


def _least_rate(logs: Tensor) -> Tensor:
    """Least mean fall per step from the start to any step before that of rounding, ``[S]``."""
    fall = (logs[:, :1] - logs[:, 1:]) / torch.arange(1, logs.shape[1], dtype=logs.dtype, device=logs.device)
    rounding = logs[:, 1:] <= logs[:, :1] + math.log(_SMALLEST)
    return fall.masked_fill(rounding, math.inf).amin(dim=1)


def _line(logs: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and R^2 of the straight line through the second half of each curve, ``[S]`` both."""
    slopes, squares = [], []
    for curve in logs:
        kept = curve[curve > curve[0] + math.log(_SMALLEST)]
        half = kept[len(kept) // 2 :]
        x = torch.arange(len(half), dtype=half.dtype, device=half.device)
        x, y = x - x.mean(), half - half.mean()
        slope = (x * y).sum() / x.square().sum()
        slopes.append(slope)
        squares.append(1 - (y - slope * x).square().sum() / y.square().sum())
    return torch.stack(slopes), torch.stack(squares)
