"""Optimisers on stacked tensors against torch.optim, step for step, float64."""

import pytest
import torch

from gengap import registry
from gengap.studies.settings import Cell
from gengap.training.optimizers import stacked_settings

SHAPES = {"weight": (3, 2), "bias": (3,)}


def ours(cells, starts, gradients):
    """Parameters ``[K, ...]`` after every step; `gradients` lists one dict ``[K, ...]`` per step."""
    optimizer = registry.load("optimizer", cells[0].optimizer.name)
    hyperparameters = stacked_settings(cells, dtype=torch.float64, device=torch.device("cpu"))
    parameters, optimizer_state, found = starts, optimizer.start(starts), []
    for gradient in gradients:
        parameters, optimizer_state = optimizer.step(
            parameters, gradient, optimizer_state, hyperparameters, cells[0].optimizer
        )
        found.append(parameters)
    return found


def theirs(make, start, gradients):
    """One network's parameters after every step of one of PyTorch's own optimisers."""
    parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    optimizer, found = make(parameters.values()), []
    for gradient in gradients:
        for name, parameter in parameters.items():
            parameter.grad = gradient[name].clone()
        optimizer.step()
        found.append({name: parameter.detach().clone() for name, parameter in parameters.items()})
    return found


@pytest.fixture
def problem():
    """Two networks' start and 30 steps' gradients, of sizes from 1e-9 to 1e3."""
    generator = torch.Generator().manual_seed(0)

    def draw():
        return {n: torch.randn(2, *shape, generator=generator, dtype=torch.float64) for n, shape in SHAPES.items()}

    sizes = torch.logspace(-9, 3, 30, dtype=torch.float64)
    return draw(), [{name: size * value for name, value in draw().items()} for size in sizes]


def assert_equal(cells, make, problem):
    starts, gradients = problem
    found = ours(cells, starts, gradients)
    for place, cell in enumerate(cells):
        start = {name: value[place] for name, value in starts.items()}
        single = [{name: value[place] for name, value in gradient.items()} for gradient in gradients]
        options = cell.optimizer
        for mine, torchs in zip(found, theirs(lambda p, o=options: make(p, o), start, single), strict=True):
            for name, value in torchs.items():
                torch.testing.assert_close(mine[name][place], value, rtol=1e-12, atol=1e-14)


def cells(*optimizers):
    return [Cell.model_validate({"optimizer": optimizer}) for optimizer in optimizers]


def test_adam_equals_torchs(problem):
    pack = cells(
        {"name": "adam", "lr": 0.001},
        {"name": "adam", "lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-5, "weight_decay": 0.01},
    )

    def make(parameters, o):
        eps = 1e-8 if o.eps is None else o.eps
        return torch.optim.Adam(parameters, o.lr, (o.beta1, o.beta2), eps, o.weight_decay)

    assert_equal(pack, make, problem)


def test_adamw_equals_torchs(problem):
    pack = cells(
        {"name": "adamw", "lr": 0.001},
        {"name": "adamw", "lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-5, "weight_decay": 0.3},
    )

    def make(parameters, o):
        eps = 1e-8 if o.eps is None else o.eps
        return torch.optim.AdamW(parameters, o.lr, (o.beta1, o.beta2), eps, o.weight_decay)

    assert_equal(pack, make, problem)


def test_adagrad_equals_torchs(problem):
    pack = cells({"name": "adagrad", "lr": 0.01}, {"name": "adagrad", "lr": 0.5, "eps": 1e-3, "weight_decay": 0.02})

    def make(parameters, o):
        return torch.optim.Adagrad(parameters, o.lr, weight_decay=o.weight_decay, eps=1e-10 if o.eps is None else o.eps)

    assert_equal(pack, make, problem)


@pytest.mark.parametrize(("name", "optimizer"), [("adam", torch.optim.Adam), ("adagrad", torch.optim.Adagrad)])
def test_the_defaults_are_torchs(name, optimizer, problem):
    assert_equal(cells(*[{"name": name, "lr": 0.01}] * 2), lambda p, o: optimizer(p, lr=0.01), problem)


def test_sgd_equals_torchs(problem):
    pack = cells({"lr": 0.1}, {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.1})
    assert_equal(pack, lambda p, o: torch.optim.SGD(p, o.lr, momentum=o.momentum, weight_decay=o.weight_decay), problem)


def velocities(problem, rates, cell, update):
    """Parameters after every step of a velocity that `update(velocity, gradient, step)` makes, of the first network."""
    starts, gradients = problem
    parameters = {name: value[0] for name, value in starts.items()}
    velocity = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for step, gradient in enumerate(gradients[: len(rates)]):
        decay = cell.optimizer.weight_decay
        slopes = {name: gradient[name][0] + decay * value for name, value in parameters.items()}
        velocity = {name: update(velocity[name], slope, step) for name, slope in slopes.items()}
        parameters = {name: value - velocity[name] for name, value in parameters.items()}
        yield parameters


@pytest.mark.parametrize("corrected", [True, False])
def test_momentum_correction_where_the_rate_changes(corrected, problem):
    """Equation 10 of Goyal et al. (2017), and equation 11, which multiplies the velocity by the ratio of the rates."""
    rates = [0.1, 0.1, 0.2, 0.05, 0.05, 0.3]
    (cell,) = cells({"momentum": 0.8, "weight_decay": 0.1, "momentum_correction": corrected})
    optimizer = registry.load("optimizer", "sgd")
    hyperparameters = stacked_settings([cell, cell], dtype=torch.float64, device=torch.device("cpu"))
    parameters = problem[0]
    optimizer_state = optimizer.start(parameters)

    def update(velocity, gradient, step):
        ratio = rates[step] / rates[step - 1] if corrected and step else 1.0
        return 0.8 * ratio * velocity + rates[step] * gradient

    for rate, gradient, expected in zip(rates, problem[1], velocities(problem, rates, cell, update), strict=False):
        hyperparameters["lr"] = torch.full((2,), rate, dtype=torch.float64)
        parameters, optimizer_state = optimizer.step(
            parameters, gradient, optimizer_state, hyperparameters, cell.optimizer
        )
        for name, value in expected.items():
            torch.testing.assert_close(parameters[name][0], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("nesterov", [True, False])
def test_at_a_constant_rate_the_correction_changes_nothing(nesterov, problem):
    pair = [cells({"momentum_correction": each, "nesterov": nesterov}) * 2 for each in (True, False)]
    for one, other in zip(*(ours(each, *problem) for each in pair), strict=True):
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adagrad"])
def test_a_compiled_step_serves_every_rate_and_step(name, problem):
    """Neither a new learning rate nor Adam's count of steps may ask for another compilation."""
    starts, gradients = problem
    pack = cells({"name": name}, {"name": name})
    optimizer = registry.load("optimizer", name)
    hyperparameters = stacked_settings(pack, dtype=torch.float64, device=torch.device("cpu"))
    compilations = []

    def backend(graph, inputs):
        compilations.append(graph)
        return graph.forward

    step = torch.compile(lambda *tensors: optimizer.step(*tensors, pack[0].optimizer), backend=backend, fullgraph=True)
    parameters, optimizer_state = starts, optimizer.start(starts)
    for done, gradient in enumerate(gradients[:4]):
        hyperparameters["lr"] = torch.full((2,), 0.1 / (1 + done), dtype=torch.float64)
        parameters, optimizer_state = step(parameters, gradient, optimizer_state, hyperparameters)
    assert len(compilations) == 1


@pytest.mark.parametrize("name", ["adam", "adamw", "adagrad"])
def test_a_network_learns(name, make_cell, train):
    found = train({"cell": make_cell(optimizer={"name": name, "lr": 0.02}, training={"epochs": 15})})["cell"]
    losses = [value for _, quantity, value in found.history if quantity == "train_loss"]
    assert losses[-1] < losses[0] / 2


def test_unit_rows_are_sgds_with_every_row_divided_by_its_norm():
    """Of a linear layer and a convolution; a row of zeros stays, and BatchNorm's scales and shifts are not rows."""
    shapes = {"linear.weight": (4, 3), "linear.bias": (4,), "conv.weight": (5, 2, 3, 3), "norm.weight": (4,)}
    shapes |= {"norm.bias": (4,), "conv.bias": (5,)}
    generator = torch.Generator().manual_seed(2)

    def drawn():
        return {
            name: torch.randn(2, *shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()
        }

    starts, gradient = drawn(), drawn()
    for values in (starts["linear.weight"], gradient["linear.weight"]):
        values[:, 0] = 0
    cells = {
        name: [Cell.model_validate({"optimizer": {"name": name, "lr": lr}}) for lr in (0.1, 0.5)]
        for name in ("sgd", "sgd_unit_rows")
    }
    plain, found = (ours(cells[name], starts, [gradient])[0] for name in ("sgd", "sgd_unit_rows"))
    for layer, rows in (("linear", slice(1, None)), ("conv", slice(None))):
        norms = plain[f"{layer}.weight"][:, rows].flatten(2).norm(dim=2)
        weight, bias = found[f"{layer}.weight"][:, rows], found[f"{layer}.bias"][:, rows]
        assert weight.flatten(2).norm(dim=2).flatten().tolist() == pytest.approx([1.0] * norms.numel())
        expected = plain[f"{layer}.weight"][:, rows].flatten(2) / norms[:, :, None]
        torch.testing.assert_close(weight.flatten(2), expected)
        torch.testing.assert_close(bias, plain[f"{layer}.bias"][:, rows] / norms)
    assert not found["linear.weight"][:, 0].any()
    for name in ("norm.weight", "norm.bias"):
        assert torch.equal(found[name], plain[name])
