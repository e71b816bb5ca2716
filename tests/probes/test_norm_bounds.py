"""Capacity bounds against numbers found by hand, and an operator norm against the operator itself."""

import dataclasses
import math

import pytest
import torch
from subjects import by_name, subject
from torch.nn import functional

from gengap.probes import margin, norm_bounds


def linear(seeds=(0,)):
    """A network 4 -> 2 -> 2 of two layers, with known weights, at a start of 0."""
    model = {"name": "mlp", "width": 2, "depth": 1, "activation": "identity"}
    made = subject({"name": "norm_bounds"}, {"model": model}, shape=(1, 2, 2), n_classes=3, seeds=seeds)
    state = {name: torch.zeros_like(value) for name, value in made.state.items()}
    start = {name: torch.zeros_like(value) for name, value in made.start.items()}
    return dataclasses.replace(made, state=state, start=start)


def test_bounds_of_two_layers_by_hand():
    """Singular values (3, 4) and (2, 1), Frobenius norms 5 and sqrt 5; all moved from 0; d = 2, m = 40."""
    made = linear()
    made.state["linear1.weight"][0] = torch.tensor([[3.0, 0, 0, 0], [0, 4.0, 0, 0]])
    made.state["output.weight"][0] = torch.tensor([[2.0, 0], [0, 1.0], [0, 0]])
    outputs = made.train_images.flatten(1)[:, :2] * torch.tensor([6.0, 4.0])
    outputs = torch.cat([outputs, torch.zeros(40, 1)], dim=1)
    top = outputs.topk(2, dim=1).values
    made = dataclasses.replace(made, train_targets=outputs.argmax(dim=1))
    gamma = (top[:, 0] - top[:, 1]).quantile(0.1, interpolation="lower").item()
    root = math.sqrt(40)
    expected = {
        "weight_norm": math.sqrt(30),
        "distance_from_start": math.sqrt(30),
        "spectral_norm_product": 8,
        "operator_norm_product": 8,
        "path_norm": math.sqrt(4 * 9 + 16),
        "margin_10th_percentile": gamma,
        "inverse_margin": 1 / gamma / root,
        "spectral_norm_sum": math.sqrt(2 * 8) / root,
        "spectral_product_over_margin": 8 / gamma / root,
        "frobenius_norm_product": 5 * math.sqrt(5) / root,
        "frobenius_norm_sum": math.sqrt(2 * 5 * math.sqrt(5)) / root,
        "frobenius_product_over_margin": 5 * math.sqrt(5) / gamma / root,
        "frobenius_over_spectral": math.sqrt(25 / 16 + 5 / 4) / root,
        "spectral_bound_from_origin": 8 * math.sqrt(25 / 16 + 5 / 4) / gamma / root,
        "spectral_bound_from_start": 8 * math.sqrt(25 / 16 + 5 / 4) / gamma / root,
        "spectral_complexity": 8 * ((7 / 4) ** (2 / 3) + (3 / 2) ** (2 / 3)) ** 1.5 / gamma / root,
        "spectral_distance": math.sqrt(16 + 4) / root,
        "path_norm_over_margin": math.sqrt(52) / gamma / root,
    }
    found = by_name(norm_bounds.measure(made))
    assert {name: found[name, ""].item() for name in expected} == pytest.approx(expected)
    assert len(found) == len(expected)


def test_a_margin_below_zero_bounds_nothing():
    made = linear()
    made.state["linear1.weight"][:] = made.state["output.weight"][:] = 1.0  # so all outputs are equal
    found = by_name(norm_bounds.measure(made))
    assert found["inverse_margin", ""].item() == found["spectral_product_over_margin", ""].item() == math.inf


def test_the_operator_norm_is_that_of_the_convolution_with_periodic_borders():
    kernel = torch.randn(3, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    basis = torch.eye(2 * 5 * 4, dtype=torch.float64).view(-1, 2, 5, 4)
    padded = functional.pad(basis, (1, 1, 1, 1), mode="circular")
    matrix = functional.conv2d(padded, kernel).flatten(1)
    found = norm_bounds.operator_norm(kernel, (5, 4)).item()
    assert found == pytest.approx(torch.linalg.svdvals(matrix)[0].item())


def test_the_margin_is_that_of_the_probe_margin():
    made = subject({"name": "norm_bounds"}, n_classes=4)
    expected = by_name(margin.measure(made))["margin_10th_percentile", ""]
    found = by_name(norm_bounds.measure(made))["margin_10th_percentile", ""]
    assert found.tolist() == pytest.approx(expected.tolist())
