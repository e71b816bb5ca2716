"""Which of two patterns a two-layer network learns first: the toy of Li, Wei and Ma (2019), section 3.

An input has two parts. In the first, a hyperplane tells the classes of the pattern P, which is so faint that only many
examples show it. In the second, Q can be learned from few examples and not by a hyperplane. Most examples have both.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "A faint pattern of many examples beside one of few: which is learned first (Li, Wei and Ma 2019).",
    "options": {
        "algorithm": {
            "type": "str",
            "default": "small",
            "choices": ["large_small", "small"],
            "meaning": "large_small: the large rate until the first loss, then the small one; small: throughout.",
        },
        "dimension": {"type": "int", "default": 16, "ge": 2, "meaning": "d, dimension of either part of an input."},
        "samples_per_dimension": {"type": "float", "default": 4.0, "gt": 0, "meaning": "Training samples over d."},
        "units_per_dimension": {
            "type": "float",
            "default": 2.0,
            "gt": 0,
            "meaning": "Hidden units of either part over d.",
        },
        "p": {
            "type": "float",
            "default": 0.1,
            "ge": 0,
            "le": 1,
            "meaning": "Share of examples with the faint pattern alone.",
        },
        "q": {
            "type": "float",
            "default": 0.1,
            "ge": 0,
            "le": 1,
            "meaning": "Share of examples with the other one alone.",
        },
        "offset": {"type": "float", "default": 0.1, "ge": 0, "meaning": "Norm of zeta, which tells the classes of Q."},
        "large_rate": {"type": "float", "default": 0.5, "gt": 0, "meaning": "Large learning rate."},
        "small_rate": {"type": "float", "default": 0.01, "gt": 0, "meaning": "Small learning rate."},
        "first_loss": {
            "type": "float",
            "default": 0.05,
            "gt": 0,
            "meaning": "epsilon 1: training loss, beyond q log 2, at which the large rate ends.",
        },
        "last_loss": {
            "type": "float",
            "default": 0.05,
            "gt": 0,
            "meaning": "epsilon 2: training loss at which training ends.",
        },
        "decay": {"type": "float", "default": 0.001, "ge": 0, "meaning": "lambda of the L2 penalty, lambda/2 |U|^2."},
        "gradient_noise": {
            "type": "float",
            "default": 0.05,
            "ge": 0,
            "meaning": "Standard deviation of the gradients' noise.",
        },
        "init_std": {
            "type": "float",
            "default": None,
            "ge": 0,
            "meaning": "Standard deviation of the first weights; null: what noise and decay keep up at the large rate.",
        },
        "noise": {
            "type": "str",
            "default": "none",
            "choices": ["none", "gate", "value", "both"],
            "meaning": "Where noise enters before the units in training: the sign that opens them, their value, both.",
        },
        "noise_std": {
            "type": "float",
            "default": 0.5,
            "ge": 0,
            "meaning": "Its standard deviation, until the first loss.",
        },
        "steps": {"type": "int", "default": 1000, "ge": 1, "meaning": "Most steps."},
        "test_samples": {"type": "int", "default": 2000, "ge": 1, "meaning": "Examples for the test errors."},
    },
    "quantities": {
        "toy_test_error": {
            "label": "test error",
            "unit": "%",
            "meaning": "Share of new examples of the toy classified wrongly at the end.",
        },
        "faint_error": {
            "label": "test error on the faint pattern",
            "unit": "%",
            "meaning": "Share of new examples with the faint pattern alone classified wrongly at the end.",
        },
        "offset_error": {
            "label": "test error on the other pattern",
            "unit": "%",
            "meaning": "Share of new examples with the other pattern alone classified wrongly at the end.",
        },
        "faint_error_at_switch": {
            "label": "test error on the faint pattern at the switch",
            "unit": "%",
            "meaning": "The same at the first step whose training loss is at most epsilon 1 + q log 2.",
        },
        "second_difference": {
            "label": "second difference at the switch",
            "symbol": "|g(z+\\zeta)+g(z-\\zeta)-2g(z)|",
            "meaning": "How far the part of the network that reads Q is from linear across its classes, at that step.",
        },
        "second_difference_at_end": {
            "label": "second difference at the end",
            "symbol": "|g(z+\\zeta)+g(z-\\zeta)-2g(z)|",
            "meaning": "How far the part of the network that reads Q is from linear across its classes, at the end.",
        },
        "switch_step": {
            "label": "step of the switch",
            "meaning": "First step whose training loss is at most epsilon 1 + q log 2; not a number if none was.",
        },
        "stop_step": {
            "label": "last step",
            "meaning": "Step at which training ended; not a number if its loss was not reached.",
        },
    },
}
ONE_BY_ONE = True


class Networks(NamedTuple):
    """Weights of S networks: of the units that read the first part and the second, ``[S, units, d]`` both."""

    faint: Tensor
    offset: Tensor


class Examples(NamedTuple):
    """Both parts ``[S, N, d]``, and the labels -1 or 1 ``[S, N]``."""

    faint: Tensor
    offset: Tensor
    labels: Tensor


class Truth(NamedTuple):
    """What the two distributions are made of, each ``[S, d]``: w* of norm 1, z of norm 1, zeta."""

    direction: Tensor
    center: Tensor
    offset: Tensor


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Train by full-batch gradient descent with noisy gradients until the last loss, and measure both patterns.

    The network is ``sum_j u_j relu(w_j x_1) + sum_j u_j relu(v_j x_2)`` with fixed ``u_j = +-1/sqrt(m)``, half of each
    sign; the loss is logistic. A step is ``U <- U - rate (gradient + decay U + noise)``. P: ``x_1 = y w*/sqrt(d) + n``
    with ``n ~ N(0, I/d)`` on the side of y. Q: ``x_2 = a z`` for y = 1, ``a (z + b zeta)`` with ``b = +-1`` for y = -1,
    ``a ~ U(0, 1)``.

    Args:
        point: Algorithm, sizes and rates.
        seeds: Numbers of the draws.
        device: Where it is computed; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``. What belongs to the switch is, for the small rate, that of the same training loss.

    Source: Li, Wei and Ma (2019), arXiv:1907.04595, section 3, theorem 3.4 and lemma 4.2. Every size is ours.
    """
    parts = [_run(point, seed, device) for seed in seeds]
    return {name: torch.stack([part[name] for part in parts]).cpu() for name in parts[0]} if parts else {}


def numbers_per_draw(point: Point) -> int:
    """Examples, and before and after every unit."""
    samples, units = sizes(point)
    count: int = 4 * (samples + point.test_samples) * (point.dimension + units)
    return count


def sizes(point: Point) -> tuple[int, int]:
    """Training samples, and units of either part (an even number)."""
    samples = max(1, round(point.samples_per_dimension * point.dimension))
    return samples, 2 * max(1, round(point.units_per_dimension * point.dimension / 2))


def outputs(networks: Networks, examples: Examples) -> Tensor:
    """What S networks say of their examples, ``[S, N]``."""
    said: Tensor = _part(networks.faint, examples.faint) + _part(networks.offset, examples.offset)
    return said


def gradient(
    networks: Networks, examples: Examples, noise: tuple[Tensor, Tensor, str] | None = None
) -> tuple[Tensor, Networks]:
    """Training loss ``[S]`` and its gradient.

    Args:
        networks: The weights.
        examples: Training samples.
        noise: What is added before the units of either part, ``[S, N, units]``, and to what: gate, value or both.
    """
    before = [x @ weights.mT for weights, x in zip(networks, examples[:2], strict=True)]
    gates, values = before, before
    if noise:
        shifted = [one + shift for one, shift in zip(before, noise[:2], strict=True)]
        gates = before if noise[2] == "value" else shifted
        values = before if noise[2] == "gate" else shifted
    gates = [one > 0 for one in gates]
    u = _signs(networks.faint)
    said = sum((gate * value) @ u for gate, value in zip(gates, values, strict=True))
    margins = examples.labels * said
    loss = torch.nn.functional.softplus(-margins).mean(dim=1)
    pull = -examples.labels * torch.sigmoid(-margins) / margins.shape[1]  # of the loss by the outputs, [S, N]
    slopes = [(pull[:, :, None] * gate * u).mT @ x for gate, x in zip(gates, examples[:2], strict=True)]
    return loss, Networks(*slopes)


def second_difference(networks: Networks, truth: Truth) -> Tensor:
    """``|g(z + zeta) + g(z - zeta) - 2 g(z)|`` of the part that reads Q, ``[S]``: 0 where it is linear."""
    z, zeta = truth.center[:, None], truth.offset[:, None]
    g = [_part(networks.offset, z + sign * zeta)[:, 0] for sign in (1.0, -1.0, 0.0)]
    return (g[0] + g[1] - 2 * g[2]).abs()


def draw(point: Point, truth: Truth, count: int, generator: torch.Generator, kind: str = "mixed") -> Examples:
    """Examples of one draw, ``[1, count, d]``: ``mixed``, or with the ``faint`` or ``offset`` part alone."""
    d = point.dimension

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, dtype=torch.float64)

    labels = torch.where(uniform() < 0.5, 1.0, -1.0).double()
    normal = torch.randn(count, d, generator=generator, dtype=torch.float64) / math.sqrt(d)
    along = normal @ truth.direction[0]
    # Reflected to the side of its label: the normal distribution restricted to that half space.
    normal = normal + ((labels * along.abs() - along)[:, None]) * truth.direction
    faint = normal + labels[:, None] * truth.direction / math.sqrt(d)
    b = torch.where(uniform() < 0.5, 1.0, -1.0).double()
    offset = uniform()[:, None] * (truth.center + ((labels < 0) * b)[:, None] * truth.offset)
    which = uniform()
    if kind == "mixed":
        only_faint, only_offset = which < point.p, (which >= point.p) & (which < point.p + point.q)
    else:
        only_faint = torch.full((count,), kind == "faint")
        only_offset = ~only_faint
    offset = offset * ~only_faint[:, None]
    faint = faint * ~only_offset[:, None]
    return Examples(faint[None], offset[None], labels[None])


def draw_truth(point: Point, generator: torch.Generator) -> Truth:
    """w*, z and zeta of one draw, ``[1, d]``; zeta is orthogonal to z."""
    w, z, zeta = torch.randn(3, 1, point.dimension, generator=generator, dtype=torch.float64)
    z = z / z.norm()
    zeta = zeta - (zeta * z).sum() * z
    return Truth(w / w.norm(), z, point.offset * zeta / zeta.norm())


def train(
    point: Point, networks: Networks, examples: Examples, generator: torch.Generator
) -> tuple[Networks, Networks, float, float]:
    """Train one draw by the point's algorithm.

    Returns:
        The networks at the switch and at the end, and both steps; not a number if a loss was not reached.
    """
    rate = point.large_rate if point.algorithm == "large_small" else point.small_rate
    at_switch, switched, stopped = networks, math.nan, math.nan
    size = (*examples.labels.shape, networks.faint.shape[1])
    for step in range(point.steps + 1):
        loss, slopes = gradient(networks, examples)
        if math.isnan(switched) and loss.item() <= point.first_loss + point.q * math.log(2):
            at_switch, switched, rate = networks, float(step), point.small_rate
        if not math.isnan(switched) and loss.item() <= point.last_loss:
            stopped = float(step)
            break
        if point.noise != "none" and math.isnan(switched):
            drawn = [point.noise_std * torch.randn(size, generator=generator).double() for _ in range(2)]
            slopes = gradient(networks, examples, (drawn[0], drawn[1], point.noise))[1]
        # In float32 normal numbers are drawn five times as fast.
        noises = [torch.randn(one.shape, generator=generator).double() for one in networks]
        networks = Networks(
            *(
                one - rate * (slope + point.decay * one + point.gradient_noise * noise)
                for one, slope, noise in zip(networks, slopes, noises, strict=True)
            )
        )
    return at_switch if not math.isnan(switched) else networks, networks, switched, stopped


def _run(point: Point, seed: int, device: torch.device) -> dict[str, Tensor]:
    """One draw. The randomness depends on the seed alone, so that both algorithms see the same examples and start."""
    generators = [
        torch.Generator().manual_seed(seeding.torch_seed(seed, seeding.SIMULATION, part)) for part in range(3)
    ]
    samples, units = sizes(point)
    truth = draw_truth(point, generators[0])
    examples = draw(point, truth, samples, generators[0])
    size = (1, units, point.dimension)
    start = Networks(
        *(_init_std(point) * torch.randn(size, generator=generators[1], dtype=torch.float64) for _ in range(2))
    )
    early, late, switched, stopped = train(point, start, examples, generators[2])
    kinds = ("mixed", "faint", "offset")
    tests = {kind: draw(point, truth, point.test_samples, generators[0], kind) for kind in kinds}
    errors = {kind: _error(late, test) for kind, test in tests.items()}
    found = {
        "toy_test_error": errors["mixed"],
        "faint_error": errors["faint"],
        "offset_error": errors["offset"],
        "faint_error_at_switch": _error(early, tests["faint"]),
        "second_difference": second_difference(early, truth)[0],
        "second_difference_at_end": second_difference(late, truth)[0],
    }
    for name in ("faint_error_at_switch", "second_difference"):
        found[name] = found[name] if not math.isnan(switched) else torch.tensor(math.nan, dtype=torch.float64)
    steps = {"switch_step": switched, "stop_step": stopped}
    return found | {name: torch.tensor(value, dtype=torch.float64) for name, value in steps.items()}


def _init_std(point: Point) -> float:
    """Noise of variance s^2 and decay l at rate r keep weights at the variance r s^2 / (2 l - r l^2)."""
    if point.init_std is not None:
        return float(point.init_std)
    rate, decay = point.large_rate, point.decay
    return float(point.gradient_noise * math.sqrt(rate / (2 * decay - rate * decay**2))) if decay else 0.0


def _error(networks: Networks, examples: Examples) -> Tensor:
    return (outputs(networks, examples)[0] * examples.labels[0] <= 0).double().mean()


def _part(weights: Tensor, x: Tensor) -> Tensor:
    before = x @ weights.mT
    said: Tensor = before.clamp(min=0) @ _signs(weights)
    return said


def _signs(weights: Tensor) -> Tensor:
    """u, half of it -1/sqrt(m) and half 1/sqrt(m) ``[units]``."""
    units = weights.shape[1]
    signs = torch.ones(units, dtype=torch.float64, device=weights.device)
    signs[::2] = -1
    return signs / math.sqrt(units)
