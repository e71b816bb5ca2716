"""Layer gradients of linear networks against autograd, closed forms and the numbers of the protocol's pilot."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from gengap import simulations
from gengap.simulations.linear_gradient import gradient_norms, layer_sizes, network, numbers_per_draw, simulate
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def point(width, **settings):
    return Point(simulation="linear_gradient", width=width, **settings)


def ratios(n, width, **settings):
    return simulate(point(width, **settings), range(n), CPU)["gradient_ratio"].numpy()


@pytest.mark.parametrize("settings", [{}, {"input_size": 7, "output_size": 1}, {"depth": 1}])
def test_gradients_are_autograds(settings):
    """Of an ordinary network with its biases at zero, trained on the mean squared error."""
    here = point(5, batch_size=16, **settings)
    expected = []
    for seed in range(3):
        weights, inputs, targets = network(here, seed)
        model = nn.Sequential(*[nn.Linear(*weight.shape[::-1], dtype=torch.float64) for weight in weights])
        for layer, weight in zip(model, weights, strict=True):
            layer.weight.data, layer.bias.data = weight, torch.zeros_like(layer.bias)
        functional.mse_loss(model(inputs), targets).backward()
        expected.append([float(layer.weight.grad.norm()) for layer in model])
    drawn = [network(here, seed) for seed in range(3)]
    weights = [torch.stack(layer) for layer in zip(*(weights for weights, _, _ in drawn), strict=True)]
    inputs, targets = (torch.stack([one[part] for one in drawn]) for part in (1, 2))
    found = gradient_norms(weights, inputs, targets)
    torch.testing.assert_close(found.T, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        simulate(here, range(3), CPU)["gradient_ratio"], found.amax(0) / found.amin(0), rtol=1e-12, atol=0
    )


def test_one_layer_is_balanced_with_itself():
    assert ratios(4, 6, depth=1).tolist() == [1.0] * 4


def test_at_width_1_the_ratio_is_that_of_the_weights():
    """There the gradient of layer l is the loss's derivative divided by w_l, so R = max |w| / min |w|."""
    weights = np.array([[abs(float(w)) for w in network(point(1), seed)[0]] for seed in range(50)])
    np.testing.assert_allclose(ratios(50, 1), weights.max(axis=1) / weights.min(axis=1), rtol=1e-9)


def test_the_median_at_width_1():
    """Of the largest over the smallest of ten |normal| numbers, drawn independently of the network's stream."""
    rng = np.random.default_rng(0)
    numbers = np.abs(rng.standard_normal((4000, 10)))
    assert stats.ks_2samp(ratios(1000, 1), numbers.max(axis=1) / numbers.min(axis=1)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("width", "ends", "draws", "mean", "variance"),
    [
        (4, {}, 200, 5.1, 21.6),
        (8, {}, 200, 2.95, 0.89),
        (16, {}, 200, 2.30, 0.32),
        (32, {}, 200, 2.02, 0.08),
        (64, {}, 100, 1.81, 0.02),
        (16, {"input_size": 64, "output_size": 1}, 200, 3.8, 2.1),
        (64, {"input_size": 64, "output_size": 1}, 100, 2.7, 0.38),
    ],
)
def test_numbers_of_the_pilot(width, ends, draws, mean, variance):
    """Its means, of 200 draws as printed variances have them, agree with ours within four standard errors of both."""
    error = 4 * math.sqrt(variance / 200 + variance / draws) + 0.005 * mean  # printed to three digits
    assert ratios(draws, width, **ends).mean() == pytest.approx(mean, abs=error)


def test_mean_and_variance_fall_with_width():
    found = [ratios(200, width) for width in (2, 4, 8, 16)]
    assert all(narrow.mean() > wide.mean() for narrow, wide in itertools.pairwise(found))
    assert all(narrow.var() > wide.var() for narrow, wide in itertools.pairwise(found))


def test_weights_are_xavier_and_sizes_as_asked():
    here = point(300, input_size=100, output_size=50, depth=3)
    assert layer_sizes(here) == [100, 300, 300, 50]
    weights, inputs, targets = network(here, 0)
    assert [tuple(weight.shape) for weight in weights] == [(300, 100), (300, 300), (50, 300)]
    assert (tuple(inputs.shape), tuple(targets.shape)) == ((256, 100), (256, 50))
    for weight in weights:
        assert float(weight.var()) == pytest.approx(2 / sum(weight.shape), rel=0.05)


@pytest.mark.parametrize("width", [1, 3, 17, 64])
def test_a_draw_does_not_depend_on_the_chunk(width):
    """Up to rounding: products of matrices in a batch are rounded by their place in memory."""
    together = ratios(6, width)
    parts = [simulate(point(width), seeds, CPU)["gradient_ratio"].numpy() for seeds in ([0], [1, 2], [3, 4, 5])]
    np.testing.assert_allclose(np.concatenate(parts), together, rtol=1e-13)
    np.testing.assert_array_equal(ratios(6, width), together)


def test_a_chunk_of_the_widest_network_fits():
    assert simulations.draws_at_once(point(256)) >= 8
    assert numbers_per_draw(point(256)) * simulations.draws_at_once(point(256)) <= 2**25
