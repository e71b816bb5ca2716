"""A path between two minima of a wide network on which the loss rises above neither end (Nguyen 2019)."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "Two minima of a network of one hidden layer: the line between them, and a path below (Nguyen 2019).",
    "options": {
        "width": {"type": "int", "default": 64, "ge": 2, "meaning": "Hidden units, m."},
        "samples": {"type": "int", "default": 20, "ge": 2, "meaning": "Training inputs, n."},
        "inputs": {"type": "int", "default": 5, "ge": 1, "meaning": "Dimension of an input."},
        "rate": {"type": "float", "default": 0.02, "gt": 0, "meaning": "Learning rate of Adam."},
        "steps": {"type": "int", "default": 3000, "ge": 1, "meaning": "Steps that lead to each minimum."},
        "points": {"type": "int", "default": 50, "ge": 2, "meaning": "Points on every straight piece."},
    },
    "quantities": {
        "minimum_loss": {"label": "loss of the minima", "meaning": "The larger training loss of the two ends."},
        "line_barrier": {
            "label": "barrier on the line",
            "meaning": "Largest training loss on the straight line between the ends, minus the larger end.",
        },
        "path_barrier": {
            "label": "barrier on the path",
            "meaning": "Largest training loss on the path that is built, minus the larger end.",
        },
        "connected": {
            "label": "connected below the loss",
            "meaning": "1 if `path_barrier` is at most a thousandth of the variance of the targets, else 0.",
        },
    },
}

_CLOSE = 1e-3  # times the variance of the targets, which is about the loss of a constant


class Network(NamedTuple):
    """S networks ``f(x) = v . relu(W [x, 1])``: first weights ``[S, m, d + 1]``, second ones ``[S, m]``."""

    first: Tensor
    second: Tensor


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Train two networks to a minimum each, and walk from one to the other.

    The path: (1) the second weights of A move to the best ones for A's first half of the units, the others at 0;
    (2) the units at 0 take the first weights of B's second half; (3) the second weights move to the best ones for
    these; (4) the units now at 0 take those of B's first half; (5) the second weights move to B's. Pieces 2 and 4 leave
    the function alone, 1, 3 and 5 are convex in the second weights. So the loss rises above the ends only if a half of
    the units fits worse than they do. Half of the units fit everything once m >= 2 n: the theorem's condition on the
    width is of this kind, and asks for connected sublevel sets.

    Args:
        point: Sizes, and how minima are found.
        seeds: Numbers of the draws; inputs and targets are the same for every width.
        device: Where it is computed, in float64; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``.

    Source: Nguyen (2019), On connected sublevel sets in deep learning, theorem 5.1 and its proof by such pieces.
    """
    drawn = [_drawn(point, seed) for seed in seeds]
    inputs = torch.stack([one[0] for one in drawn]).to(device)
    targets = torch.stack([one[1] for one in drawn]).to(device)
    ends = [
        trained(
            Network(*(torch.stack([one[2][end][layer] for one in drawn]).to(device) for layer in (0, 1))),
            inputs,
            targets,
            point,
        )
        for end in (0, 1)
    ]
    worse = torch.stack([loss(end, inputs, targets) for end in ends]).amax(dim=0)
    line = highest(ends, inputs, targets, point.points)
    path = highest(corners(ends[0], ends[1], inputs, targets), inputs, targets, point.points)
    variance = targets.var(dim=1)
    found = {
        "minimum_loss": worse,
        "line_barrier": line - worse,
        "path_barrier": path - worse,
        "connected": (path - worse <= _CLOSE * variance).double(),
    }
    return {name: value.cpu() for name, value in found.items()}


def numbers_per_draw(point: Point) -> int:
    """Weights and their moments, and every unit's answers."""
    count: int = 10 * point.width * (point.inputs + point.samples)
    return count


def hidden(first: Tensor, inputs: Tensor) -> Tensor:
    """What units say to inputs ``[S, n, d + 1]``: ``[S, n, m]``."""
    return (inputs @ first.mT).clamp(min=0)


def loss(network: Network, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error, ``[S]``."""
    outputs = (hidden(network.first, inputs) @ network.second[:, :, None])[:, :, 0]
    return (outputs - targets).square().mean(dim=1)


def trained(network: Network, inputs: Tensor, targets: Tensor, point: Point) -> Network:
    """The networks after Adam on both layers."""
    weights = [tensor.clone().requires_grad_() for tensor in network]
    optimizer = torch.optim.Adam(weights, lr=point.rate)
    for _ in range(point.steps):
        optimizer.zero_grad()
        loss(Network(*weights), inputs, targets).sum().backward()
        optimizer.step()
    return Network(*(tensor.detach() for tensor in weights))


def corners(a: Network, b: Network, inputs: Tensor, targets: Tensor) -> list[Network]:
    """The ends of the straight pieces of the path; see `simulate`."""
    half = a.first.shape[1] // 2
    early = torch.arange(a.first.shape[1], device=inputs.device) < half
    on_a = Network(a.first, best_second(a.first, early, inputs, targets))
    mixed = torch.where(early[:, None], a.first, b.first)
    on_b = best_second(mixed, ~early, inputs, targets)
    return [
        a,
        on_a,
        Network(mixed, on_a.second),
        Network(mixed, on_b),
        Network(b.first, on_b),
        b,
    ]


def best_second(first: Tensor, allowed: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
    """Second weights of the least loss and then the least norm, 0 but for the allowed units: ``[S, m]``."""
    answers = hidden(first, inputs) * allowed
    found: Tensor = torch.linalg.pinv(answers) @ targets[:, :, None]
    return found[:, :, 0]


def highest(through: Sequence[Network], inputs: Tensor, targets: Tensor, points: int) -> Tensor:
    """The largest loss on straight pieces through these networks, ``[S]``."""
    found = [loss(through[0], inputs, targets)]
    for start, end in itertools.pairwise(through):
        for share in torch.linspace(0, 1, points + 1, dtype=torch.float64)[1:].tolist():
            between = Network(*(x + share * (y - x) for x, y in zip(start, end, strict=True)))
            found.append(loss(between, inputs, targets))
    return torch.stack(found).amax(dim=0)


def _drawn(point: Point, seed: int) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """Inputs with a constant 1, targets, and the first weights of both networks."""
    data = seeding.stream(seed, seeding.SIMULATION, point.samples, point.inputs)
    inputs = torch.from_numpy(data.standard_normal((point.samples, point.inputs)))
    targets = torch.from_numpy(data.standard_normal(point.samples))
    ends = []
    for end in (0, 1):
        stream = seeding.stream(seed, seeding.SIMULATION, point.samples, point.inputs, point.width, end)
        first = stream.standard_normal((point.width, point.inputs + 1)) / point.inputs**0.5
        second = stream.standard_normal(point.width) / point.width**0.5
        ends.append((torch.from_numpy(first), torch.from_numpy(second)))
    return torch.cat([inputs, torch.ones(point.samples, 1, dtype=torch.float64)], dim=1), targets, ends
