"""XOR detection: every input of a small domain enumerated, gradients by autograd, clusters that are known."""

import itertools

import pytest
import torch

from gengap.simulations import xor
from gengap.simulations.xor import Filters
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def filters(networks=3, pairs=4):
    torch.manual_seed(1)
    return Filters(*(torch.randn(networks, pairs, 2, dtype=torch.float64) for _ in range(2)))


def test_outputs_and_error_by_enumerating_every_input():
    """All 4^3 inputs of three patches, by the formula of the network over patches."""
    found = filters()
    inputs = torch.stack([xor.PATTERNS[list(chosen)] for chosen in itertools.product(range(4), repeat=3)])
    said = sum(
        sign * torch.relu(torch.einsum("skc,njc->sknj", part, inputs)).amax(dim=3).sum(dim=1)
        for sign, part in ((1, found.plus), (-1, found.minus))
    )
    targets = torch.tensor([1.0 if any(a * b > 0 for a, b in one.tolist()) else -1.0 for one in inputs])
    wrong = (said * targets <= 0).double().mean(dim=1)
    assert (wrong > 0).all()
    torch.testing.assert_close(xor.exact_error(found, 3), wrong, rtol=0, atol=1e-12)


@pytest.mark.parametrize("everywhere", [0, 3])
def test_a_step_follows_the_gradient_of_the_hinge_loss(everywhere):
    present = torch.rand(3, 6, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    present[..., everywhere] = True
    start = Filters(*(part.clone().requires_grad_() for part in filters()))
    point = Point.model_validate({"simulation": "xor", "steps": 1, "rate": 0.04, "pairs": 4})
    margins = xor.labels(present) * xor.outputs(start, present)
    (1 - margins).clamp(min=0).mean(dim=1).sum().backward()
    moved = xor.trained(filters(), present, point)
    for new, old in zip(moved, start, strict=True):
        torch.testing.assert_close(new, old.detach() - 0.01 * old.grad, rtol=0, atol=1e-15)


def test_a_network_that_samples_pull_both_ways_stands_still():
    """All samples hold the one pattern to which both filters answer; five have one label, five the other."""
    present = torch.zeros(1, 10, 4, dtype=torch.bool)
    present[..., 2] = True
    present[:, :5, 0] = present[:, :3, 1] = present[:, 9:, 3] = True
    plus, minus = (torch.tensor([[[size, -3 * size]]], dtype=torch.float64) for size in (0.1, 0.05))
    point = Point.model_validate({"simulation": "xor", "steps": 500, "rate": 0.1})
    moved = xor.trained(Filters(plus, minus), present, point)
    assert torch.equal(moved.plus, plus)
    assert torch.equal(moved.minus, minus)


def test_networks_that_have_finished_leave_the_others_alone():
    """Early, late and never finished ones, each with the bits that it has alone."""
    point = Point.model_validate({"simulation": "xor", "pairs": 3, "samples": 12, "steps": 1500, "rate": 0.1})
    together = xor.simulate(point, range(6), CPU)
    assert 0 < together["xor_train_success"].sum() < 6
    for seed in range(6):
        alone = xor.simulate(point, (seed,), CPU)
        assert all(torch.equal(values, together[name][seed : seed + 1]) for name, values in alone.items())


def test_clusters_of_two_directions_are_their_means():
    plus = torch.tensor([[[2.0, 2.0], [4.0, 4.0], [-1.0, -1.0], [-3.0, -3.0]]], dtype=torch.float64)
    centres = xor.clusters(Filters(plus, plus)).plus[0]
    assert sorted(map(tuple, centres.tolist())) == [(-4.0, -4.0), (6.0, 6.0)]


def test_the_perfect_network_is_a_global_minimum_and_more_filters_do_not_hurt():
    perfect = Filters(xor.PATTERNS[None, :2] * 3, xor.PATTERNS[None, 2:])
    assert xor.exact_error(perfect, 10).item() == 0
    assert xor.exact_error(Filters(perfect.minus, perfect.plus), 10).item() == pytest.approx(1)
    point = {"simulation": "xor", "samples": 12, "steps": 4000, "patches": 3}
    found = xor.simulate(Point.model_validate({**point, "pairs": 20}), (0, 1), CPU)
    assert found["xor_train_success"].tolist() == [1, 1]
    assert found["xor_alignment"].min() > 0.7  # no filter is farther than 45 degrees from a pattern
