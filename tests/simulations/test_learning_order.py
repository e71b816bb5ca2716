"""The toy of two patterns: its gradients against autograd, both algorithms step by step, and its distributions."""

import math

import pytest
import torch

from gengap.simulations import learning_order
from gengap.simulations.learning_order import Examples, Networks
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def point(**options):
    return Point.model_validate({"simulation": "learning_order", "test_samples": 20, **options})


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def networks(units=6, d=3, count=2):
    return Networks(normal(count, units, d, seed=1), normal(count, units, d, seed=2))


def examples(n=9, d=3, count=2):
    labels = torch.where(normal(count, n, seed=5) > 0, 1.0, -1.0).double()
    return Examples(normal(count, n, d, seed=3), normal(count, n, d, seed=4), labels)


def said(weights, x, shift=0.0, where="both"):
    """The network written out with ReLUs, gates of which no derivative is taken."""
    before = x @ weights.mT
    gate = ((before + shift if where != "value" else before) > 0).double()
    units = weights.shape[1]
    u = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(units // 2) / math.sqrt(units)
    return (gate * (before + shift if where != "gate" else before)) @ u


@pytest.mark.parametrize("where", ["none", "gate", "value", "both"])
def test_the_gradient_is_autograds(where):
    made, data = networks(), examples()
    faint, offset = (one.clone().requires_grad_() for one in made)
    shifts = [0.0, 0.0] if where == "none" else [normal(2, 9, 6, seed=7), normal(2, 9, 6, seed=8)]
    outputs = said(faint, data.faint, shifts[0], where) + said(offset, data.offset, shifts[1], where)
    loss = torch.log1p(torch.exp(-data.labels * outputs)).mean(dim=1)
    expected = torch.autograd.grad(loss.sum(), (faint, offset))
    found, slopes = learning_order.gradient(made, data, None if where == "none" else (*shifts, where))
    torch.testing.assert_close(found, loss.detach())
    for slope, value in zip(slopes, expected, strict=True):
        torch.testing.assert_close(slope, value)
    if where == "none":
        torch.testing.assert_close(learning_order.outputs(made, data), outputs.detach())


@pytest.mark.parametrize("algorithm", ["large_small", "small"])
def test_both_algorithms_step_by_step(algorithm):
    """Two samples, two units, no noise: rates, switch and end as the definition says, each step by autograd."""
    settings = {"dimension": 2, "first_loss": 0.3, "last_loss": 0.1, "large_rate": 2.0, "small_rate": 0.5, "q": 0.2}
    made = point(algorithm=algorithm, gradient_noise=0.0, decay=0.01, steps=400, **settings)
    data, start = examples(n=2, d=2, count=1), networks(units=2, d=2, count=1)
    weights = [one.clone() for one in start]
    switched, rates = None, []
    for step in range(401):
        tracked = [one.clone().requires_grad_() for one in weights]
        margins = data.labels * (said(tracked[0], data.faint) + said(tracked[1], data.offset))
        loss = torch.log1p(torch.exp(-margins)).mean()
        if switched is None and loss.item() <= 0.3 + 0.2 * math.log(2):
            switched, at_switch = step, [one.clone() for one in weights]
        if switched is not None and loss.item() <= 0.1:
            break
        rates.append(2.0 if algorithm == "large_small" and switched is None else 0.5)
        slopes = torch.autograd.grad(loss, tracked)
        weights = [one - rates[-1] * (slope + 0.01 * one) for one, slope in zip(weights, slopes, strict=True)]
    early, late, switch_step, stop_step = learning_order.train(made, start, data, torch.Generator())
    assert (switch_step, stop_step) == (switched, step)
    assert set(rates) == ({2.0, 0.5} if algorithm == "large_small" else {0.5})
    for found, expected in zip((*early, *late), (*at_switch, *weights), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_what_is_not_reached_is_no_number():
    found = learning_order.simulate(point(dimension=4, steps=1, first_loss=1e-6), (0,), CPU)
    assert all(
        found[name].isnan().all() for name in ("switch_step", "stop_step", "second_difference", "faint_error_at_switch")
    )
    assert found["toy_test_error"].isfinite().all()


def test_shares_sides_and_classes_of_the_examples():
    made = point(dimension=5, p=0.2, q=0.3, offset=0.5)
    generator = torch.Generator().manual_seed(1)
    truth = learning_order.draw_truth(made, generator)
    drawn = learning_order.draw(made, truth, 20_000, generator)
    faint, offset, labels = (one[0] for one in drawn)
    assert (offset == 0).all(dim=1).double().mean().item() == pytest.approx(0.2, abs=0.015)
    assert (faint == 0).all(dim=1).double().mean().item() == pytest.approx(0.3, abs=0.015)
    assert labels.mean().abs() < 0.03
    there = ~(faint == 0).all(dim=1)
    along = (faint[there] @ truth.direction[0]) * labels[there]
    assert (along >= 1 / math.sqrt(5) - 1e-12).all()  # a hyperplane tells the classes, by 1/sqrt(d)
    rest = faint[there] - (faint[there] @ truth.direction[0])[:, None] * truth.direction
    assert rest.square().sum(dim=1).mean().item() == pytest.approx(4 / 5, rel=0.03)
    here = ~(offset == 0).all(dim=1)
    share = (offset[here] @ truth.offset[0]) / 0.5**2 / (offset[here] @ truth.center[0])
    torch.testing.assert_close(share[labels[here] > 0], torch.zeros_like(share[labels[here] > 0]), rtol=0, atol=1e-9)
    assert set(share[labels[here] < 0].round().tolist()) == {-1.0, 1.0}


def test_second_difference_of_one_unit():
    """A unit that only z + zeta opens: g there minus nothing elsewhere; none for units that are open everywhere."""
    truth = learning_order.Truth(
        *(torch.tensor([row], dtype=torch.float64) for row in ([1.0, 0.0], [1.0, 0.0], [0.0, 0.5]))
    )
    unit = torch.tensor([[[0.0, 0.0], [-1.0, 4.0]]], dtype=torch.float64)
    assert learning_order.second_difference(Networks(unit, unit), truth).item() == pytest.approx(1 / math.sqrt(2))
    open_everywhere = torch.tensor([[[2.0, 0.3], [1.0, -0.7]]], dtype=torch.float64)
    assert learning_order.second_difference(Networks(unit, open_everywhere), truth).item() == pytest.approx(
        0, abs=1e-12
    )


def test_noise_and_decay_keep_first_weights_at_their_size():
    made = point(large_rate=2.0, decay=0.05, gradient_noise=0.3)
    weights, generator = learning_order._init_std(made) * normal(20_000), torch.Generator().manual_seed(3)
    before = weights.std()
    for _ in range(30):
        noise = torch.randn(20_000, generator=generator, dtype=torch.float64)
        weights = weights - 2.0 * (0.05 * weights + 0.3 * noise)
    assert (weights.std() / before).item() == pytest.approx(1, abs=0.03)
    assert learning_order._init_std(point(decay=0.0)) == 0


def test_a_draw_depends_on_its_seed_alone():
    made = point(dimension=4, steps=5, noise="both")
    together, alone = learning_order.simulate(made, (3, 5), CPU), learning_order.simulate(made, (5,), CPU)
    for name, values in together.items():
        torch.testing.assert_close(values[1:], alone[name], rtol=0, atol=0, equal_nan=True)
