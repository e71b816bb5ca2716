"""Learning rates over a measured curvature, against a plain loop with the whole Hessian, float64."""

import math

import pytest
import torch
from torch.func import functional_call, grad, jacrev

from gengap import models, registry
from gengap.engine import stack
from gengap.engine.hessian import eigenvalues
from gengap.training import learning_rates, pack_state, resume
from gengap.training.cell_result import CellResult
from gengap.training.data_order import order
from gengap.training.schedules import Decision
from gengap.training.step import NetworkState

EPOCHS, REFRESH = 6, 4


@pytest.fixture
def make(make_cell):
    def build(seed, scale=0.3, schedule=None, **training):
        return make_cell(
            seed,
            model={"width": 1},
            optimizer={"lr": scale, "momentum": 0.0},
            schedule=schedule or {"name": "inverse_lipschitz", "refresh_steps": REFRESH, "max_lr": 3.0},
            training={"epochs": EPOCHS, "snapshots": [0]} | training,
        )

    return build


def batch_loss(network, parameters, images, labels):
    margins = labels * functional_call(network, parameters, (images,))[:, 0]
    return (1 - margins).clamp(min=0).square().mean()


def curvature(network, data, batch_size):
    """Largest eigenvalue of the whole Hessian, every batch with its own statistics."""
    flat = {name: value.detach() for name, value in network.named_parameters()}
    sizes = {name: value.numel() for name, value in flat.items()}

    def loss(vector):
        parts = dict(zip(sizes, vector.split(list(sizes.values())), strict=True))
        parameters = {name: part.view_as(flat[name]) for name, part in parts.items()}
        pairs = zip(data.train_images.split(batch_size), data.train_labels.split(batch_size), strict=True)
        return sum(len(x) * batch_loss(network, parameters, x, y) for x, y in pairs) / len(data.train_images)

    # Not torch.func.hessian: its forward mode through torch's own BatchNorm in training contradicts differences.
    matrix = jacrev(grad(loss))(torch.cat([value.flatten() for value in flat.values()]))
    return torch.linalg.eigvalsh((matrix + matrix.T) / 2)[-1].item()


def plain_loop(data, cell, batch_size):
    """Gradient descent with lr = scale / L by PyTorch's own modules; returns each epoch's last L, and the network."""
    state = stack.initial_state([cell], (3, 8, 8), 1, dtype=torch.float64, device=torch.device("cpu"))
    network = models.build(cell.model, (3, 8, 8), 1).double().train()
    network.load_state_dict({name: value[0] for name, value in state.items()}, strict=False)
    for layer in network.modules():
        if isinstance(layer, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
    steps, found = 0, []
    for epoch in range(cell.training.epochs):
        for index in torch.from_numpy(order(cell.seed, epoch, 100)).split(batch_size):
            if steps % REFRESH == 0:
                largest = curvature(network, data, batch_size)
            rate = min(cell.optimizer.lr / largest, 3.0) if largest > 0 else 3.0
            loss = batch_loss(
                network, dict(network.named_parameters()), data.train_images[index], data.train_labels[index]
            )
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                    parameter -= rate * gradient
            steps += 1
        found.append(largest)
    return found, network.state_dict()


@pytest.mark.parametrize(
    ("batch_size", "samples", "epochs"), [pytest.param("full", 100, EPOCHS, marks=pytest.mark.thorough), (40, 40, 2)]
)
def test_the_rate_follows_the_largest_eigenvalue_of_the_whole_hessian(data, make, train, batch_size, samples, epochs):
    """Two scales in one pack, beside a cell whose schedule measures nothing."""
    cells = {
        "small": make(1, 0.3, batch_size=batch_size, epochs=epochs),
        "large": make(2, 1.0, batch_size=batch_size, epochs=epochs),
        "constant": make(1, 0.3, schedule={"name": "constant"}, batch_size=batch_size, epochs=epochs),
    }
    found = train(cells)
    for name in ("small", "large"):
        expected, weights = plain_loop(data, cells[name], samples)
        measured = [value for _, quantity, value in found[name].history if quantity == "hessian_largest"]
        assert measured[1:] == pytest.approx(expected, rel=2e-3)
        used = [value for _, quantity, value in found[name].history if quantity == "lr"]
        scale = cells[name].optimizer.lr
        assert used == [min(scale / value, 3.0) if value > 0 else 3.0 for value in measured]
        for key, value in found[name].checkpoints[float(epochs)].items():
            if key in dict(models.build(cells[name].model, (3, 8, 8), 1).named_parameters()):
                torch.testing.assert_close(value, weights[key], rtol=2e-2, atol=2e-3)
    assert not [1 for _, quantity, _ in found["constant"].history if quantity == "hessian_largest"]


@pytest.mark.thorough
def test_alone_or_in_a_pack_the_rates_are_the_same(make, train):
    cells = {f"seed={seed}": make(seed, batch_size="full") for seed in range(2)}
    together, apart = train(cells), train(cells, pack_size=1)
    for name in cells:
        for (_, quantity, one), (_, _, other) in zip(together[name].history, apart[name].history, strict=True):
            assert one == pytest.approx(other, rel=1e-6), quantity


@pytest.mark.parametrize(
    ("largest", "expected"), [(2.0, 0.15), (0.01, 3.0), (0.0, 3.0), (-1.0, 3.0), (math.nan, math.nan)]
)
def test_a_loss_that_does_not_curve_upwards_takes_the_largest_rate(make, largest, expected):
    record = CellResult("one", make(0), "identity", 1)
    stacked = pack_state.PackState([record], NetworkState({}, {}, {}), curvature=[largest], products=[0])
    assert learning_rates.learning_rates(stacked) == pytest.approx([expected], nan_ok=True)


def test_the_measured_curvature_survives_an_interruption(make, tmp_path):
    records = [CellResult(name, make(seed), name, 1) for seed, name in enumerate("ab")]
    parameters = {"weight": torch.zeros(2, 1)}
    memory = registry.load("optimizer", "sgd").start(parameters)
    for record in records:
        record.checkpoints[0.0] = {"weight": torch.zeros(1)}
    stacked = pack_state.PackState(
        records, NetworkState(parameters, {}, memory), curvature=[0.1, 1 / 3], products=[7, 11]
    )
    resume.write(tmp_path / "pack.h5", stacked, records)
    resumed, _ = resume.read(tmp_path / "pack.h5", records, torch.device("cpu"))
    assert (resumed.curvature, resumed.products) == ([0.1, 1 / 3], [7, 11])
    resumed.keep([1])
    assert (resumed.curvature, resumed.products) == ([1 / 3], [11])


def test_gradient_evaluations_count_the_products_that_were_done(make, train, monkeypatch):
    """On the CPU networks are multiplied one at a time, so every call is one network's product."""
    original, calls = eigenvalues.repeated_product, []

    def counted(objective):
        product = original(objective)

        def one_more(vectors):
            calls.append(len(vectors))
            return product(vectors)

        return one_more

    monkeypatch.setattr(eigenvalues, "repeated_product", counted)
    cells = {
        "often": make(1, batch_size="full"),
        "once": make(2, batch_size="full", epochs=2),
        "never": make(3, schedule={"name": "constant"}, batch_size="full"),
    }
    found = train(cells)
    assert set(calls) == {1}
    costs = {
        name: {epoch: value for epoch, quantity, value in record.history if quantity == "gradient_evaluations"}
        for name, record in found.items()
    }
    assert not costs["never"]
    assert 2 * len(calls) == sum(costs[name][float(cells[name].training.epochs)] for name in ("often", "once")) - 8
    often = [costs["often"][float(epoch)] - epoch for epoch in range(EPOCHS + 1)]
    # Measured at steps 0 and 4; a step is an epoch here, and the fifth is over before L enters the history again.
    assert often[0] == often[1] == often[4] > 0
    assert often[5] == often[6] > often[4]
    assert costs["once"][2.0] == costs["once"][0.0] + 2


def test_new_weights_of_a_restart_are_measured_at_once(make, train, data):
    cell = make(0, restart_at_switch=True, switch_epoch=1, switch_batch_size=50, batch_size=50, epochs=2)
    cell = cell.model_copy(update={"schedule": cell.schedule.model_copy(update={"refresh_steps": 1000})})
    found = [value for _, quantity, value in train({"cell": cell})["cell"].history if quantity == "hessian_largest"]
    assert found[0] == pytest.approx(found[-1])  # at the start, and of the same weights after one epoch


@pytest.mark.parametrize("multipliers", [(0.2, 0.4, 0.6), (0.0, 1.0, 1.0), (3.0, 2.0, 1.0)])
def test_a_schedule_is_asked_before_the_first_epoch_too(multipliers, make_cell, train, monkeypatch):
    constant = registry.load("schedule", "constant")
    monkeypatch.setattr(constant, "decide", lambda settings, epochs, done, past: Decision(multipliers[min(done, 2)]))
    history = train({"cell": make_cell(optimizer={"lr": 0.05})})["cell"].history
    assert [value for _, name, value in history if name == "lr"][:3] == pytest.approx([0.05 * m for m in multipliers])
