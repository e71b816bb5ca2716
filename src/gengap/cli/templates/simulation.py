"""The mean of random numbers: replace this by one sentence on NAME and its paper."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "Mean of independent standard normal numbers.",
    "options": {
        "numbers": {"type": "int", "default": 100, "ge": 1, "meaning": "Numbers that the mean is taken of."},
    },
    "quantities": {
        "NAME": {"label": "mean of the numbers", "meaning": "Mean of independent standard normal numbers."},
    },
}


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Every seed's own draw.

    Returns:
        ``NAME``: float64 ``[len(seeds)]``.
    """
    drawn = [seeding.stream(seed, seeding.SIMULATION, point.numbers).standard_normal(point.numbers) for seed in seeds]
    return {"NAME": torch.tensor([float(numbers.mean()) for numbers in drawn], dtype=torch.float64)}


def numbers_per_draw(point: Point) -> int:
    """How many numbers one draw holds, so that as many draws as fit in memory are computed together."""
    count: int = point.numbers
    return count
