"""Sharpness of a quadratic in closed form, of a network by its own loss, and what rescaling does to it."""

import dataclasses

import numpy as np
import pytest
import subjects
import torch
from torch import nn

from gengap import losses
from gengap.engine import stack
from gengap.engine.graph.filter_normalization import with_scaled_filters
from gengap.probes import sharpness
from gengap.studies.study import Probe

QUICK = {"name": "sharpness", "draws": 1, "iterations": 4}
DIRECTIONS = sharpness.directions


def linear_regression():
    """Two linear networks with squared loss: f(theta) = 1/N sum (w.x + b - y)^2, convex."""
    made = subjects.subject({**QUICK, "iterations": 50}, {"loss": {"name": "squared"}}, shape=(1, 1, 2))
    arch = stack.architecture(nn.Sequential(nn.Flatten(), nn.Linear(2, 1)))
    generator = torch.Generator().manual_seed(1)
    state = {
        name: torch.randn(*size, generator=generator, dtype=torch.float64)
        for name, size in {"1.weight": (2, 1, 2), "1.bias": (2, 1)}.items()
    }
    return dataclasses.replace(made, arch=arch, state=state, start=state)


def loss_of(made, place):
    x = torch.cat([made.train_images.flatten(1), torch.ones(len(made.train_images), 1, dtype=torch.float64)], dim=1)
    y = made.train_targets.double()
    theta = torch.cat([made.state["1.weight"][place, 0], made.state["1.bias"][place]])
    return theta, lambda theta: (x @ theta - y).square().mean().item()


def test_a_quadratic_is_highest_in_a_corner_of_the_box():
    """A convex function has its maximum over a box in a corner; all eight are tried."""
    made = linear_regression()
    found = subjects.by_name(sharpness.measure(made))
    for place in range(2):
        theta, loss = loss_of(made, place)
        for eps, name in sharpness.EPS.items():
            box = eps * (theta.abs() + 1)
            corners = [loss(theta + (2 * torch.tensor(signs) - 1) * box) for signs in np.ndindex(2, 2, 2)]
            expected = 100 * (max(corners) - loss(theta)) / (1 + loss(theta))
            assert found[name, ""][place].item() == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(
        found["sharpness_projected_gradient", ""][:, :, 0], torch.zeros(2, 2, 2, dtype=torch.float64)
    )


def test_the_subspace_of_a_quadratic_by_brute_force():
    """With three parameters A is 3 x 3 and invertible: A^+ is its inverse, and the box's image has 8 corners."""
    made = linear_regression()
    found = subjects.by_name(sharpness.measure(made))
    bases = sharpness.directions(made.cells, 3, 0)
    for place in range(2):
        theta, loss = loss_of(made, place)
        basis = bases[place]
        torch.testing.assert_close(basis.norm(dim=0), torch.ones(3, dtype=torch.float64))
        for eps, name in sharpness.EPS.items():
            box = eps * ((torch.linalg.inv(basis) @ theta).abs() + 1)
            corners = [loss(theta + basis @ ((2 * torch.tensor(s) - 1) * box)) for s in np.ndindex(2, 2, 2)]
            expected = 100 * (max(corners) - loss(theta)) / (1 + loss(theta))
            assert found[f"subspace_{name}", ""][place].item() == pytest.approx(expected, rel=1e-6)


def test_zero_for_an_empty_box_and_monotone_in_eps():
    def functions(_, points):
        return np.square(points).sum(axis=1) + points.sum(axis=1), 2 * points + 1

    center = np.array([[0.5, -2.0, 1.0]])
    found = [sharpness.sharpness(functions, center, eps, 10)[0][0] for eps in (0.0, 1e-4, 5e-4, 1e-3, 1e-2)]
    assert found[0] == 0
    assert np.all(np.diff(found) > 0)
    box = 1e-2 * (np.abs(center) + 1)
    assert found[-1] == pytest.approx(100 * (np.square(box).sum() + box.sum()), rel=1e-12)


@pytest.mark.parametrize("batchnorm", ["running", "exact", "batch"])
def test_the_loss_of_the_ordinary_module_is_what_rises(batchnorm, monkeypatch):
    """The reported rise is the module's own at the point where the climb ended, and the point is in the box."""
    made = subjects.subject({**QUICK, "batchnorm": batchnorm}, seeds=(3,))
    kept = []

    def spy(functions, bounds, iterations):
        kept.append((bounds, maximise(functions, bounds, iterations)))
        return kept[-1][1]

    maximise = sharpness.maximise
    monkeypatch.setattr(sharpness, "maximise", spy)
    found = subjects.by_name(sharpness.measure(made))
    network = subjects.one_network(made, 0)
    sample_losses = losses.sample_losses(made.loss)

    def loss():
        with torch.no_grad():
            return sample_losses(network(made.train_images), made.train_targets).mean().item()

    at_rest = loss()
    start = torch.nn.utils.parameters_to_vector(network.parameters())
    bounds, climbed = kept[0]  # the full space, eps 0.001, weights as they are
    np.testing.assert_allclose(bounds[0], 0.001 * (start.detach().abs().numpy() + 1))
    assert (np.abs(climbed.points) <= bounds).all()
    torch.nn.utils.vector_to_parameters(start + torch.from_numpy(climbed.points[0]), network.parameters())
    rise = found["sharpness", ""].item()
    assert rise == pytest.approx(100 * (loss() - at_rest) / (1 + at_rest), rel=1e-8)
    assert rise > found["sharpness_in_half_box", ""].item() > 0


def rescaled(made, layer, norm, factor):
    """The layer in front of a BatchNorm multiplied by a factor, with the statistics that it then has."""
    eps = made.arch.evaluation.get_submodule(norm).eps
    changed = {name: made.state[name] * factor for name in (f"{layer}.weight", f"{layer}.bias", f"{norm}.running_mean")}
    changed[f"{norm}.running_var"] = factor**2 * (made.state[f"{norm}.running_var"] + eps) - eps
    return dataclasses.replace(made, state={**made.state, **changed})


def test_rescaling_before_batchnorm_changes_the_raw_number_alone():
    made = subjects.subject({**QUICK, "batchnorm": "exact"})
    other = rescaled(made, "block1.conv1", "block1.bn1", 0.2)
    before, after = (subjects.by_name(sharpness.measure(each)) for each in (made, other))
    for name in sharpness.EPS.values():
        for space in ("", "subspace_"):
            raw, normalized = f"{space}{name}", f"normalized_{space}{name}"
            assert (after[raw, ""] / before[raw, ""] - 1).abs().min() > 0.01
            torch.testing.assert_close(after[normalized, ""], before[normalized, ""], rtol=1e-6, atol=0)


def test_a_cell_is_the_same_alone_and_in_a_pack():
    made = subjects.subject(QUICK)
    whole = subjects.by_name(sharpness.measure(made))
    picked = dataclasses.replace(made, state=stack.take(made.state, [1]), cells=made.cells[1:])
    for key, values in subjects.by_name(sharpness.measure(picked)).items():
        assert torch.equal(values[0], whole[key][1]), key


@pytest.mark.thorough
def test_climbing_together_is_climbing_one_by_one(monkeypatch):
    """What a GPU does: all networks of a stack in one call."""
    made = subjects.subject(QUICK)
    apart = subjects.by_name(sharpness.measure(made))
    monkeypatch.setattr(sharpness, "networks_at_once", lambda n_parameters, device: 64)
    for key, values in subjects.by_name(sharpness.measure(made)).items():
        torch.testing.assert_close(values, apart[key], rtol=1e-9, atol=1e-12)


def test_subspaces_follow_the_seed_and_the_draw():
    made = subjects.subject(QUICK)
    first, second = sharpness.directions(made.cells, 500, 0)
    assert first.shape == (500, 100)
    assert torch.equal(sharpness.directions(made.cells[:1], 500, 0)[0], first)
    assert not torch.equal(first, second)
    assert not torch.equal(sharpness.directions(made.cells[:1], 500, 1)[0], first)


@pytest.mark.thorough
def test_standard_error_over_subspaces_and_fewer_samples():
    made = subjects.subject({**QUICK, "draws": 2, "samples": 10})
    found = subjects.by_name(sharpness.measure(made))
    drawn = []
    for draw in range(2):
        one = dataclasses.replace(made, options=Probe.model_validate({**QUICK, "samples": 10}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sharpness, "directions", lambda cells, n, _, draw=draw: DIRECTIONS(cells, n, draw))
            drawn.append(subjects.by_name(sharpness.measure(one))["subspace_sharpness", ""])
    torch.testing.assert_close(found["subspace_sharpness", ""], (drawn[0] + drawn[1]) / 2)
    error = (drawn[0] - drawn[1]).abs() / 2
    torch.testing.assert_close(found["subspace_sharpness_standard_error", ""], error)
    cut = dataclasses.replace(made, train_images=made.train_images[:10], train_targets=made.train_targets[:10])
    torch.testing.assert_close(subjects.by_name(sharpness.measure(cut))["sharpness", ""], found["sharpness", ""])


def test_a_network_that_diverged_is_said_to_be_so():
    made = subjects.subject(QUICK, seeds=(0,))
    made.state["output.bias"][0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        sharpness.measure(made)


@pytest.mark.thorough
def test_further_climbs_end_at_a_maximum_and_follow_a_rescaling():
    """The longer search of a quadratic ends in its best corner; multiplied filters move the raw number alone."""
    quadratic = linear_regression()
    options = Probe.model_validate({**QUICK, "iterations": 1, "to_convergence": 50})
    found = subjects.by_name(sharpness.measure(dataclasses.replace(quadratic, options=options)))
    best = subjects.by_name(sharpness.measure(quadratic))
    for name in sharpness.EPS.values():
        torch.testing.assert_close(found[f"converged_{name}", ""], best[name, ""], rtol=1e-12, atol=0)
    assert torch.equal(found["converged_projected_gradient", ""], torch.zeros(2, 2, dtype=torch.float64))

    made = subjects.subject({**QUICK, "batchnorm": "exact", "rescaling": 0.2})
    by_hand = with_scaled_filters(made.arch, made.state, made.train_images[:10], 0.2)
    expected = subjects.by_name(sharpness.measure(dataclasses.replace(made, state=by_hand)))
    found = subjects.by_name(sharpness.measure(made))
    for name in sharpness.EPS.values():
        torch.testing.assert_close(found[f"rescaled_{name}", ""], expected[name, ""], rtol=1e-6, atol=0)
        assert (found[f"rescaled_{name}", ""] / found[name, ""] - 1).abs().min() > 0.01


@pytest.mark.thorough
def test_further_climbs_in_parts_are_those_of_all(monkeypatch):
    made = subjects.subject({**QUICK, "to_convergence": 5, "rescaling": 2.0})
    apart = subjects.by_name(sharpness.measure(made))
    monkeypatch.setattr(sharpness, "networks_at_once", lambda n_parameters, device: 64)
    together = subjects.by_name(sharpness.measure(made))
    assert apart["converged_projected_gradient", ""].shape == (len(made.cells), 2)
    for key, values in together.items():
        torch.testing.assert_close(values, apart[key], rtol=1e-6, atol=1e-9)
