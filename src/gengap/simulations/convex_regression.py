"""Where gradient descent stops at a given training loss depends on the learning rate, even in linear regression."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "Linear regression by gradient descent with a small rate and with a large one first (Nishtala).",
    "options": {
        "examples": {
            "type": "str",
            "default": "basis",
            "choices": ["basis", "normal"],
            "meaning": "basis: e1, e1, e2 for training, both as likely in truth; normal: standard normal in the plane.",
        },
        "samples": {"type": "int", "default": 10, "ge": 2, "meaning": "Normal examples for training."},
        "rate": {"type": "float", "default": 1.4, "gt": 0, "meaning": "Large learning rate."},
        "small_rate": {"type": "float", "default": 0.01, "gt": 0, "meaning": "Small learning rate."},
        "switch_step": {
            "type": "int",
            "default": None,
            "ge": 1,
            "meaning": "Steps after which the large rate becomes the small one; null: never.",
        },
        "stop": {"type": "float", "default": 0.001, "gt": 0, "meaning": "Training loss at which both stop."},
        "stop_on": {
            "type": "str",
            "default": "mse",
            "choices": ["mse", "rmse"],
            "meaning": "Which training loss `stop` is: the mean squared error, or its root.",
        },
        "noise": {"type": "float", "default": 0.0, "ge": 0, "meaning": "Standard deviation of the labels' noise."},
        "steps": {"type": "int", "default": 100_000, "ge": 1, "meaning": "Most steps."},
        "records": {"type": "int", "default": 60, "ge": 1, "meaning": "First steps of which the weights are kept."},
    },
    "quantities": {
        "small_ratio": {
            "label": "risk over training loss, small rate",
            "symbol": "L/\\hat L",
            "meaning": "Expected squared error over the training loss where the small learning rate stops.",
        },
        "large_ratio": {
            "label": "risk over training loss, large rate first",
            "symbol": "L/\\hat L",
            "meaning": "Expected squared error over the training loss where the large rate, later small, stops.",
        },
        "small_rmse": {
            "label": "test error, small rate",
            "meaning": "Root of the expected squared error where the small learning rate stops.",
        },
        "large_rmse": {
            "label": "test error, large rate first",
            "meaning": "Root of the expected squared error where the large learning rate, later small, stops.",
        },
        "large_advantage": {
            "label": "advantage of the large rate",
            "meaning": "Root of the expected squared error, small learning rate minus large one first.",
        },
        "large_wins": {
            "label": "large rate wins",
            "meaning": "1 if the large learning rate ends with the smaller expected squared error, else 0.",
        },
        "small_stop_step": {"label": "steps, small rate", "meaning": "Steps until the small learning rate stops."},
        "large_stop_step": {
            "label": "steps, large rate first",
            "meaning": "Steps until the large one, later small, stops.",
        },
        "small_trajectory": {
            "label": "error of the weights, small rate",
            "meaning": "Weights minus true weights after each of the first steps with the small learning rate.",
        },
        "large_trajectory": {
            "label": "error of the weights, large rate first",
            "meaning": "Weights minus true weights after each of the first steps with the large learning rate.",
        },
    },
}

DIMS = {"small_trajectory": ("step", "weight"), "large_trajectory": ("step", "weight")}


class Problem(NamedTuple):
    """S regressions in the plane.

    Attributes:
        second: Mean outer product of the training examples, ``[S, 2, 2]``.
        pull: Mean of noise times example, ``[S, 2]``.
        floor: Mean squared noise of the training labels, ``[S]``.
        truth: Expected squared coordinate of an example, the same for both.
        noise: Variance of the labels' noise.
        start: Weights minus true weights at the start, where all weights are 0, ``[S, 2]``.
    """

    second: Tensor
    pull: Tensor
    floor: Tensor
    truth: float
    noise: float
    start: Tensor


class Stopped(NamedTuple):
    """Where S descents stopped: errors of the weights ``[S, 2]``, steps ``[S]``, paths ``[S, records + 1, 2]``."""

    error: Tensor
    step: Tensor
    trajectory: Tensor


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Both descents on the same examples, from weights 0, stopped at the same training loss.

    With error d of the weights, the training loss is ``d' S d`` for the mean outer product S of the examples, and the
    expected one ``|d|^2 E x_i^2`` (plus noise). Of e1, e1 and e2, ``S = diag(2/3, 1/3)`` with curvatures 4/3 and 2/3,
    while truth has 1/2 and 1/2: a descent that ends with all error along e1 has a ratio of 3/4, along e2 3/2. Rates
    above 2 / (4/3 + 2/3) = 1 shrink the error along e2 faster.

    Args:
        point: Examples, rates and when to stop.
        seeds: Numbers of the draws.
        device: Where it is computed; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``, and the trajectories ``[len(seeds), records + 1, 2]``, which rest where they stopped.
        Descents that never stop are not a number.

    Source: Nishtala (CS7180 report), the section on convex problems; starting at 0 is his.
    """
    problem = _problem(point, seeds, device)
    small = descend(problem, point, point.small_rate, None)
    large = descend(problem, point, point.rate, point.switch_step)
    found: dict[str, Tensor] = {}
    for name, stopped in (("small", small), ("large", large)):
        risk = expected_loss(problem, stopped.error)
        found[f"{name}_ratio"] = risk / training_loss(problem, stopped.error)
        found[f"{name}_rmse"] = risk.sqrt()
        found[f"{name}_stop_step"] = stopped.step
        found[f"{name}_trajectory"] = stopped.trajectory
    advantage = found["small_rmse"] - found["large_rmse"]
    found["large_advantage"] = advantage
    found["large_wins"] = torch.where(advantage.isnan(), math.nan, (advantage > 0).double())
    return {name: value.cpu() for name, value in found.items()}


def numbers_per_draw(point: Point) -> int:
    """Examples, and both trajectories."""
    count: int = 4 * point.samples + 8 * point.records
    return count


def descend(problem: Problem, point: Point, rate: float, switch_step: int | None) -> Stopped:
    """Gradient descent from weights 0 with one rate, after `switch_step` steps with the point's small one."""
    error, target = problem.start, point.stop if point.stop_on == "mse" else point.stop**2
    step = torch.full_like(error[:, 0], math.nan)
    trajectory = [error]
    for done in range(point.steps + 1):
        step = torch.where(step.isnan() & (training_loss(problem, error) <= target), float(done), step)
        if not step.isnan().any() or done == point.steps:
            break
        now = rate if switch_step is None or done < switch_step else point.small_rate
        moved = error - now * gradient(problem, error)
        error = torch.where(step.isnan()[:, None], moved, error)
        if done < point.records:
            trajectory.append(error)
    trajectory += [error] * (point.records + 1 - len(trajectory))
    ended = torch.where(step.isnan()[:, None], math.nan, error)
    return Stopped(ended, step, torch.stack(trajectory, dim=1))


def training_loss(problem: Problem, error: Tensor) -> Tensor:
    """Mean squared error of the training labels, ``[S]``."""
    quadratic = torch.einsum("si,sij,sj->s", error, problem.second, error)
    loss: Tensor = quadratic - 2 * (problem.pull * error).sum(dim=1) + problem.floor
    return loss


def gradient(problem: Problem, error: Tensor) -> Tensor:
    """Of the training loss by the weights, ``[S, 2]``."""
    return 2 * (torch.einsum("sij,sj->si", problem.second, error) - problem.pull)


def expected_loss(problem: Problem, error: Tensor) -> Tensor:
    """Expected squared error of a new label, ``[S]``."""
    return problem.truth * error.square().sum(dim=1) + problem.noise


def _problem(point: Point, seeds: Sequence[int], device: torch.device) -> Problem:
    """The draws: true weights N(0, 1), and the examples with their noise."""
    examples, noises, truths = [], [], []
    for seed in seeds:
        stream = seeding.stream(seed, seeding.SIMULATION, point.samples)
        truths.append(torch.from_numpy(stream.standard_normal(2)))
        drawn = torch.from_numpy(stream.standard_normal((point.samples, 3)))
        fixed = torch.eye(2, dtype=torch.float64)[[0, 0, 1]]
        examples.append(fixed if point.examples == "basis" else drawn[:, :2])
        noises.append(point.noise * drawn[: len(examples[-1]), 2] if len(drawn) >= 3 else drawn.new_zeros(3))
    x, noise = torch.stack(examples).to(device), torch.stack(noises).to(device)
    return Problem(
        second=x.mT @ x / x.shape[1],
        pull=(x * noise[:, :, None]).mean(dim=1),
        floor=noise.square().mean(dim=1),
        truth=0.5 if point.examples == "basis" else 1.0,
        noise=point.noise**2,
        start=-torch.stack(truths).to(device),
    )
