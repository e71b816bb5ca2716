"""Least squares on random Fourier features, of minimum norm: the risk against the number of features (Belkin 2019)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gengap import seeding
from gengap.simulations import minimum_norm
from gengap.simulations.sampled_images import check as check
from gengap.simulations.sampled_images import measured, sample
from gengap.studies.simulation import Point

PART = {
    "summary": "Least squares of minimum norm on N random Fourier features of images (Belkin 2019, Fig. 2).",
    "options": {
        "dataset": {
            "type": "str",
            "default": "normal",
            "meaning": "Registered dataset whose images are drawn; normal: ten classes of normal pixels.",
        },
        "samples": {"type": "int", "default": 200, "ge": 2, "meaning": "Training images, n."},
        "test_samples": {"type": "int", "default": 1000, "ge": 1, "meaning": "Test images."},
        "label_noise": {
            "type": "float",
            "default": 0.0,
            "ge": 0,
            "le": 1,
            "meaning": "Share of training labels that are replaced by a uniform class.",
        },
        "features": {
            "type": "int",
            "choices": ("kernel",),
            "default": 100,
            "ge": 1,
            "meaning": "Complex features, N; kernel: infinitely many, which is the Gaussian kernel.",
        },
        "bandwidth": {
            "type": "float",
            "default": 5.0,
            "gt": 0,
            "meaning": "Sigma: frequencies are normal with standard deviation 1 / sigma.",
        },
        "cutoff": {
            "type": "float",
            "default": 1e-14,
            "ge": 0,
            "meaning": "Singular values of the features below this share of the largest count as 0.",
        },
    },
    "mem_mb": 4000,
    "uses": ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "train_error", "test_error"),
    "quantities": {
        "solution_norm": {
            "label": "norm of the solution",
            "symbol": "\\|a\\|_2",
            "meaning": "Norm of all coefficients of features of length 1; with the kernel, that of its Hilbert space.",
        },
        "condition_number": {
            "label": "condition number",
            "symbol": "\\kappa",
            "meaning": "Largest over smallest singular value of the matrix of features that are fitted.",
        },
    },
}
ONE_BY_ONE = True

_FREQUENCIES = 1  # in the path of the streams
_ROWS = 500  # images whose features are held at once
_COLUMNS = 1000  # features that are held at once
_DUAL_FROM = 2  # times n features, from which products of features are well conditioned enough


def simulate(point: Point, seeds: Sequence[int], device: torch.device, prepared: Path | None) -> dict[str, Tensor]:
    """Fit one-hot labels by ``h(x) = sum_k a_k exp(i <v_k, x>) / sqrt(N)``, of the best fits that of least norm of a.

    Frequencies are ``v_k ~ N(0, 1 / sigma^2)``, so that ``sum_k`` of products of features tends to the Gaussian kernel
    ``exp(-|x - y|^2 / (2 sigma^2))``. A class is the output of largest real part. Features are complex: all n images
    can be fitted from N = n on. Draws of one seed share images, and the first frequencies whatever N is.

    Args:
        point: Sizes, bandwidth and cutoff.
        seeds: Numbers of the draws.
        device: Where it is computed, in float64; the numbers are drawn on the CPU.
        prepared: The dataset's prepared file; None for normal pixels.

    Returns:
        Float64 ``[len(seeds)]``.

    Source: Belkin, Hsu, Ma and Mandal (2019), Reconciling modern machine-learning practice, Fig. 2.
    """
    rows = [_draw(point, seed, device, prepared) for seed in seeds]
    return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in rows[0]}


def numbers_per_draw(point: Point) -> int:
    """Matrices of complex numbers that are held at once: of the features with their factors, or of their products."""
    n, wide = point.samples, point.features
    if wide == "kernel":
        held = 2 * n * n
    elif wide >= _DUAL_FROM * n:
        held = 3 * n * n + (3 * n + _ROWS) * _COLUMNS
    else:
        held = 3 * n * wide + 2 * min(n, wide) ** 2 + _ROWS * wide
    return int(2 * held)


def features(images: Tensor, frequencies: Tensor, count: int) -> Tensor:
    """``exp(i <v_k, x>) / sqrt(count)``: images ``[n, p]`` and frequencies ``[m, p]`` to complex128 ``[n, m]``."""
    phases = images @ frequencies.T
    return torch.polar(torch.full_like(phases, 1 / math.sqrt(count)), phases)


def kernel(left: Tensor, right: Tensor, bandwidth: float) -> Tensor:
    """``exp(-|x - y|^2 / (2 sigma^2))`` for images ``[n, p]`` and ``[m, p]``."""
    squared: Tensor = (left.square().sum(dim=1)[:, None] + right.square().sum(dim=1) - 2 * left @ right.T).clamp(min=0)
    return (-squared / (2 * bandwidth**2)).exp()


def _draw(point: Point, seed: int, device: torch.device, prepared: Path | None) -> dict[str, float]:
    images = sample(point, seed, prepared)
    train, test, targets = images.train.to(device), images.test.to(device), images.targets.to(device)
    if point.features == "kernel":
        fit = _kernel_fit(train, test, targets, point)
    else:
        stream = seeding.stream(seed, seeding.SIMULATION, _FREQUENCIES)
        drawn = stream.standard_normal((point.features, train.shape[1])) / point.bandwidth
        frequencies = torch.from_numpy(drawn).to(device)
        fitted = _dual_fit if point.features >= _DUAL_FROM * point.samples else _fit
        fit = fitted(train, test, targets, frequencies, point.cutoff)
    risks = measured(images, fit.train.cpu(), fit.test.cpu())
    return {**risks, "solution_norm": fit.norm, "condition_number": fit.condition}


class _Fit(NamedTuple):
    """Outputs for the training images, ``[n, classes]``, and for the test images, ``[m, classes]``."""

    train: Tensor
    test: Tensor
    norm: float
    condition: float


def _fit(train: Tensor, test: Tensor, targets: Tensor, frequencies: Tensor, cutoff: float) -> _Fit:
    count = len(frequencies)
    matrix = features(train, frequencies, count)
    solved, condition = minimum_norm.least_squares(matrix, targets, cutoff)
    outputs = [(features(part, frequencies, count) @ solved).real for part in test.split(_ROWS)]
    return _Fit((matrix @ solved).real, torch.cat(outputs), solved.norm().item(), condition)


def _dual_fit(train: Tensor, test: Tensor, targets: Tensor, frequencies: Tensor, cutoff: float) -> _Fit:
    """The same without the matrix of all features, which does not fit into memory where they are many."""
    count, parts = len(frequencies), frequencies.split(_COLUMNS)
    products = torch.zeros(len(train), len(train), dtype=torch.complex128, device=train.device)
    for part in parts:
        block = features(train, part, count)
        for first in range(0, len(train), _ROWS):  # the lower triangle
            last = first + _ROWS
            products[first:last, :last].addmm_(block[first:last], block[:last].mH)
    weights, condition = minimum_norm.dual(products, targets, cutoff)
    on_train, on_test = (weights.new_zeros(len(rows), targets.shape[1]) for rows in (train, test))
    squared = 0.0
    for part in parts:
        block = features(train, part, count)
        coefficients = block.mH @ weights
        squared += coefficients.abs().square().sum().item()
        on_train += block @ coefficients
        for first in range(0, len(test), _ROWS):
            on_test[first : first + _ROWS] += features(test[first : first + _ROWS], part, count) @ coefficients
    return _Fit(on_train.real, on_test.real, math.sqrt(squared), condition)


def _kernel_fit(train: Tensor, test: Tensor, targets: Tensor, point: Point) -> _Fit:
    products = kernel(train, train, point.bandwidth)
    weights, condition = minimum_norm.dual(products, targets, point.cutoff)
    on_train = products @ weights
    on_test = torch.cat([kernel(part, train, point.bandwidth) @ weights for part in test.split(_ROWS)])
    return _Fit(on_train, on_test, (weights * on_train).sum().clamp(min=0).sqrt().item(), condition)
