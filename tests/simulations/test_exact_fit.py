"""The constructed network fits any labels with as many units as samples, and not with fewer."""

import numpy as np
import pytest
import torch

from gengap.simulations.exact_fit import activations, simulate
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def found(**settings):
    point = Point(simulation="exact_fit", inputs=5, **settings)
    return {name: values.numpy() for name, values in simulate(point, range(4), CPU).items()}


def test_activations_of_as_many_units_as_samples_are_triangular():
    projections = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(activations(projections, 3), [[1, 0, 0], [2, 0.5, 0], [4, 2.5, 1]])


def test_as_many_units_as_samples_fit_random_labels():
    fit = found(samples=300, units=1.0)
    assert fit["fit_residual"].max() < 1e-6
    assert not fit["fit_errors"].any()
    assert fit["weights_per_sample"] == pytest.approx((2 * 300 + 5) / 300)


def test_half_as_many_do_not():
    fit = found(samples=300, units=0.5)
    assert fit["fit_residual"].min() > 0.5
    assert (fit["fit_errors"] > 0).all()
    assert fit["weights_per_sample"] == pytest.approx((2 * 150 + 5) / 300)


def test_two_samples_by_hand():
    """Thresholds 1 below the first projection and halfway: f(z_1) = w_1, f(z_2) = w_1 (1 + g) + w_2 g / 2."""
    fit = found(samples=2, units=1.0)
    assert fit["fit_residual"].max() < 1e-9
    assert np.isfinite(fit["fit_weight_norm"]).all()
    assert (fit["fit_weight_norm"] >= 1).all()  # |w_1| is 1
