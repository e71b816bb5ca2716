"""Wide networks: gradients by autograd, kernels by sampling; paths between minima piece by piece."""

import itertools

import pytest
import torch

from gengap.simulations import minima_path, wide_network_rate
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def point(simulation, **options):
    return Point.model_validate({"simulation": simulation, **options})


def test_gradient_is_that_of_the_loss():
    made = point("wide_network_rate", width=7, samples=5, inputs=3)
    inputs, targets, weights, signs = (part[None] for part in wide_network_rate._drawn(made, 0))
    weights.requires_grad_()
    outputs = (torch.relu(inputs @ weights.mT) * signs[:, None]).sum(dim=2) / 7**0.5
    expected = (outputs - targets).square().sum() / 2
    loss, gradient = wide_network_rate.loss_and_gradient(weights, signs, inputs, targets)
    assert loss.item() == pytest.approx(expected.item())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, weights)[0])


def test_kernel_of_infinite_width_is_the_limit_of_wide_networks():
    inputs, _, weights, _ = (
        part[None]
        for part in wide_network_rate._drawn(point("wide_network_rate", width=200_000, samples=6, inputs=4), 1)
    )
    torch.testing.assert_close(
        wide_network_rate.kernel(inputs, weights), wide_network_rate.infinite_kernel(inputs), rtol=0, atol=0.01
    )


def test_a_wide_network_falls_at_the_rate_of_its_kernel():
    """Late in training the smallest eigenvalue alone counts: twice eta lambda per step, four times the bound."""
    made = point("wide_network_rate", width=4096, samples=6, inputs=10, steps=400)
    found = wide_network_rate.simulate(made, (0, 1), CPU)
    assert (found["loss_linearity"] > 0.99).all()
    assert found["rate_over_bound"].tolist() == pytest.approx([4, 4], rel=0.15)
    assert (found["least_rate_over_bound"] > 1).all()
    narrow = wide_network_rate.simulate(
        point("wide_network_rate", width=64, samples=6, inputs=10, steps=400), (0, 1), CPU
    )
    assert (found["largest_drift"] < narrow["largest_drift"]).all()


def test_the_least_rate_is_that_of_the_worst_step_before_rounding():
    logs = torch.tensor([[0.0, -1.0, -1.5, -3.0, -70.0], [0.0, 0.5, -4.0, -6.0, -8.0]], dtype=torch.float64)
    assert wide_network_rate._least_rate(logs).tolist() == pytest.approx([0.75, -0.5])


def test_pieces_two_and_four_leave_the_function_alone_and_the_others_are_convex():
    made = point("minima_path", width=12, samples=5, inputs=2, steps=200)
    inputs, targets, ends = minima_path._drawn(made, 3)
    inputs, targets = inputs[None], targets[None]
    a, b = (minima_path.Network(first[None], second[None]) for first, second in ends)
    corners = minima_path.corners(a, b, inputs, targets)
    losses = [minima_path.loss(one, inputs, targets).item() for one in corners]
    assert losses[1] == pytest.approx(losses[2], abs=1e-12)
    assert losses[3] == pytest.approx(losses[4], abs=1e-12)
    assert max(losses[1:5]) < 1e-12  # six units fit five samples
    assert torch.equal(corners[-1].first, b.first)
    for start, end in itertools.pairwise(corners):
        highest = minima_path.highest([start, end], inputs, targets, 20).item()
        assert highest <= max(minima_path.loss(one, inputs, targets).item() for one in (start, end)) + 1e-12


def test_wide_networks_are_connected_and_narrow_ones_are_not():
    narrow, wide = (
        minima_path.simulate(point("minima_path", width=width, samples=10, inputs=3, steps=400), range(4), CPU)
        for width in (6, 24)
    )
    assert wide["connected"].tolist() == [1, 1, 1, 1]
    assert (wide["line_barrier"] > 0).all()
    assert narrow["path_barrier"].mean() > 0.01
