"""Least squares on random Fourier features, of minimum norm: the risk against the number of features (Belkin 2019)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gengap import seeding
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
_ROWS = 500  # test images whose features are held at once
_DUAL_FROM = 2  # times n features, from which products of features are well conditioned enough


class Solution(NamedTuple):
    """Coefficients ``[N, classes]`` of minimum norm, and the condition number of the features."""

    coefficients: Tensor
    condition: float


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
    """Features of the training images and of a part of the test images, complex, with two factors."""
    n_features = point.samples if point.features == "kernel" else point.features
    count: int = 2 * (3 * point.samples + _ROWS) * n_features
    return count


def features(images: Tensor, frequencies: Tensor) -> Tensor:
    """``exp(i <v_k, x>) / sqrt(N)``: images ``[n, p]`` and frequencies ``[N, p]`` to complex128 ``[n, N]``."""
    phases = images @ frequencies.T
    return torch.polar(torch.full_like(phases, 1 / math.sqrt(len(frequencies))), phases)


def kernel(left: Tensor, right: Tensor, bandwidth: float) -> Tensor:
    """``exp(-|x - y|^2 / (2 sigma^2))`` for images ``[n, p]`` and ``[m, p]``."""
    squared: Tensor = (left.square().sum(dim=1)[:, None] + right.square().sum(dim=1) - 2 * left @ right.T).clamp(min=0)
    return (-squared / (2 * bandwidth**2)).exp()


def minimum_norm(matrix: Tensor, targets: Tensor, cutoff: float) -> Solution:
    """Least squares of minimum norm.

    Up to 2 n features by orthogonal factors, which keep the condition number; with more in the dual form, by the
    eigenvalues of the ``n x n`` products, which is faster and squares it.

    Args:
        matrix: Features ``[n, N]``.
        targets: ``[n, classes]``.
        cutoff: Smaller singular values, as a share of the largest, count as 0.
    """
    n, wide = matrix.shape
    targets = targets.to(matrix.dtype)
    if wide >= _DUAL_FROM * n:
        squares, vectors = torch.linalg.eigh(matrix @ matrix.mH)
        values = squares.clamp(min=0).sqrt()
        inverse = _inverse(squares, values >= cutoff * values[-1])
        return Solution(matrix.mH @ (vectors @ (inverse[:, None] * (vectors.mH @ targets))), _condition(values))
    orthogonal, square = torch.linalg.qr(matrix.mH if wide > n else matrix)
    left, values, right = torch.linalg.svd(square, full_matrices=False)
    inverse = _inverse(values, values >= cutoff * values[0])[:, None]
    if wide > n:
        solved = orthogonal @ (left @ (inverse * (right @ targets)))
    else:
        solved = right.mH @ (inverse * (left.mH @ (orthogonal.mH @ targets)))
    return Solution(solved, _condition(values))


def _inverse(values: Tensor, kept: Tensor) -> Tensor:
    return torch.where(kept, 1 / torch.where(kept, values, 1), 0).to(torch.complex128)


def _condition(values: Tensor) -> float:
    return (values.max() / values.min().clamp(min=torch.finfo(torch.float64).tiny)).item()


def _draw(point: Point, seed: int, device: torch.device, prepared: Path | None) -> dict[str, float]:
    images = sample(point, seed, prepared)
    train, test, targets = images.train.to(device), images.test.to(device), images.targets.to(device)
    if point.features == "kernel":
        products = kernel(train, train, point.bandwidth)
        values, vectors = torch.linalg.eigh(products)
        kept = values >= point.cutoff * values[-1]
        weights = vectors @ (torch.where(kept, 1 / torch.where(kept, values, 1), 0)[:, None] * (vectors.T @ targets))
        outputs = [products @ weights, kernel(test, train, point.bandwidth) @ weights]
        norm, condition = (
            (weights * outputs[0]).sum().clamp(min=0).sqrt().item(),
            _condition(values.clamp(min=0).sqrt()),
        )
    else:
        stream = seeding.stream(seed, seeding.SIMULATION, _FREQUENCIES)
        drawn = stream.standard_normal((point.features, train.shape[1])) / point.bandwidth
        frequencies = torch.from_numpy(drawn).to(device)
        matrix = features(train, frequencies)
        solved, condition = minimum_norm(matrix, targets, point.cutoff)
        parts = [features(part, frequencies) @ solved for part in test.split(_ROWS)]
        outputs, norm = [(matrix @ solved).real, torch.cat(parts).real], solved.norm().item()
    risks = measured(images, *(part.cpu() for part in outputs))
    return {**risks, "solution_norm": norm, "condition_number": condition}
