"""Descents of linear regression: the two analytic ratios, autograd, a descent by hand, and splits of three draws."""

import itertools

import pytest
import torch

from gengap.simulations import convex_regression
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def point(**options):
    return Point.model_validate({"simulation": "convex_regression", **options})


def problem(start=(1.0, 1.0)):
    return convex_regression.Problem(
        second=torch.diag(torch.tensor([2 / 3, 1 / 3], dtype=torch.float64))[None],
        pull=torch.zeros(1, 2, dtype=torch.float64),
        floor=torch.zeros(1, dtype=torch.float64),
        truth=0.5,
        noise=0.0,
        start=-torch.tensor([start], dtype=torch.float64),
    )


@pytest.mark.parametrize(
    ("rate", "switch", "expected"),
    [(0.01, None, 1.5), (0.1, 50, 1.5), (1.2, 50, 0.75), (1.4, 50, 0.75), (1.49, 50, 0.75)],
)
def test_ratios_are_the_analytic_ones(rate, switch, expected):
    """A rate above 1 leaves all error in the sharp direction, a lower one in the flat direction."""
    made = problem()
    stopped = convex_regression.descend(made, point(rate=rate, stop=1e-4), rate, switch)
    ratio = convex_regression.expected_loss(made, stopped.error) / convex_regression.training_loss(made, stopped.error)
    assert ratio.item() == pytest.approx(expected, abs=1e-2)


def test_two_of_three_examples_always_agree_and_three_do_a_quarter_of_the_time():
    counts = [sum(draw) for draw in itertools.product((0, 1), repeat=3)]
    assert all(max(count, 3 - count) >= 2 for count in counts)
    assert sum(count in (1, 2) for count in counts) / len(counts) == 3 / 4


def test_gradient_and_loss_are_those_of_the_examples():
    """With noise in the labels, against autograd on the mean squared error itself."""
    made = convex_regression._problem(point(examples="normal", samples=7, noise=0.3), (3, 4), CPU)
    error = torch.tensor([[0.4, -1.0], [2.0, 0.1]], dtype=torch.float64, requires_grad=True)
    loss = convex_regression.training_loss(made, error)
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), error)[0], convex_regression.gradient(made, error))
    smallest = torch.linalg.solve(made.second, made.pull)
    assert (convex_regression.training_loss(made, smallest) >= 0).all()  # a mean of squares, the least one


def test_a_descent_by_hand():
    """Two large steps and a small one, then the first loss that is low enough ends it."""
    made = problem((1.0, 0.5))
    weights = torch.tensor([0.0, 0.0], dtype=torch.float64)
    truth, curvature = torch.tensor([1.0, 0.5], dtype=torch.float64), torch.tensor([4 / 3, 2 / 3], dtype=torch.float64)
    rates, steps, losses = [0.3, 0.3, *[0.05] * 200], 0, []
    while True:
        losses.append((curvature / 2 * (weights - truth) ** 2).sum().item())
        if losses[-1] <= 0.02:
            break
        weights = weights - rates[steps] * curvature * (weights - truth)
        steps += 1
    stopped = convex_regression.descend(made, point(small_rate=0.05, stop=0.02, records=5), 0.3, 2)
    assert stopped.step.item() == steps
    torch.testing.assert_close(stopped.error[0], weights - truth)
    assert stopped.trajectory.shape == (1, 6, 2)
    assert losses[-2] > 0.02 >= losses[-1]


def test_a_root_stops_at_the_square_and_what_never_stops_is_no_number():
    both = [
        convex_regression.simulate(point(stop=stop, stop_on=on), (0, 1), CPU)
        for stop, on in ((0.01, "mse"), (0.1, "rmse"))
    ]
    for name, values in both[0].items():
        torch.testing.assert_close(values, both[1][name])
    found = convex_regression.simulate(point(steps=3), (0,), CPU)
    assert all(found[name].isnan().all() for name in ("small_rmse", "large_wins", "small_stop_step"))


def test_a_draw_depends_on_its_seed_alone():
    for examples in ("basis", "normal"):
        together, alone = (
            convex_regression.simulate(point(examples=examples, rate=0.1), seeds, CPU) for seeds in ((3, 5), (5,))
        )
        for name, values in together.items():
            torch.testing.assert_close(values[1:], alone[name], rtol=0, atol=0, equal_nan=True)
