"""Steps with BatchNorm's statistics held constant, against PyTorch's own modules in evaluation mode, float64."""

import signal

import pytest
import torch
from torch import nn

from gengap import models
from gengap.engine import evaluation, stack
from gengap.errors import UserError
from gengap.training import RunOptions, cell_result, resume, train_pack
from gengap.training.data_order import order

EPOCHS = 3


@pytest.fixture
def make(make_cell):
    def build(seed, **sections):
        training = {"step_batchnorm": "exact", "epochs": EPOCHS, **sections.pop("training", {})}
        return make_cell(seed, optimizer={"lr": 0.02, **sections.pop("optimizer", {})}, training=training, **sections)

    return build


def measure(network, images):
    """Set every BatchNorm's statistics to those of all images, from the first layer to the last."""
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for layer in layers:

        def keep(layer, inputs):
            x = inputs[0].detach()
            dims = [0, *range(2, x.dim())]
            layer.running_mean, layer.running_var = x.mean(dims), x.var(dims, correction=0)

        layer.register_forward_pre_hook(keep)
    network.eval()(images)
    for layer in layers:
        layer._forward_pre_hooks.clear()


def plain_loop(data, cell, every=None):
    """The cell's training by PyTorch's own modules in evaluation mode and its SGD."""
    state = stack.initial_state([cell], (3, 8, 8), 1, dtype=torch.float64, device=torch.device("cpu"))
    network = models.build(cell.model, (3, 8, 8), 1).double()
    network.load_state_dict({name: value[0] for name, value in state.items()}, strict=False)
    sgd = torch.optim.SGD(network.parameters(), cell.optimizer.lr, momentum=cell.optimizer.momentum)
    for epoch in range(cell.training.epochs):
        for step, index in enumerate(torch.from_numpy(order(cell.seed, epoch, 100)).split(30)):
            if step == 0 or (every and step % every == 0):
                measure(network, data.train_images)
            sgd.zero_grad()
            margins = data.train_labels[index] * network(data.train_images[index])[:, 0]
            (1 - margins).clamp(min=0).square().mean().backward()
            sgd.step()
    measure(network, data.train_images)
    return network.state_dict()


@pytest.mark.parametrize("every", [None, 1, 3])
def test_a_pack_equals_plain_loops_with_constant_statistics(data, make, train, every):
    cells = {f"seed={seed}": make(seed, training={"statistics_steps": every}) for seed in range(2)}
    found = train(cells)
    for name, cell in cells.items():
        expected = plain_loop(data, cell, every)
        for key, value in found[name].checkpoints[float(EPOCHS)].items():
            torch.testing.assert_close(value, expected[key], rtol=1e-8, atol=1e-10)


def test_running_statistics_are_the_exact_ones(data, make, train):
    """Of every snapshot: evaluation in mode `running` then says what mode `exact` says."""
    cell = make(0)
    found = train({"cell": cell})["cell"]
    arch = stack.architecture(models.build(cell.model, (3, 8, 8), 1))
    for epoch in (0.0, 0.5, 1.0, float(EPOCHS)):
        state = {key: value[None] for key, value in found.checkpoints[epoch].items()}
        exact = evaluation.exact_statistics(arch, state, data.train_images)
        assert all(torch.equal(state[name], value) for name, value in exact.items())
    assert found.history == train({"cell": make(0, training={"batchnorm": "exact"})})["cell"].history


def test_frozen_and_batch_statistics_are_other_trainings(make, train):
    frozen = train({"cell": make(0)})["cell"]
    batch = train({"cell": make(0, training={"step_batchnorm": "batch"})})["cell"]
    name = "block1.conv1.weight"
    assert not torch.allclose(frozen.checkpoints[1.0][name], batch.checkpoints[1.0][name], rtol=1e-3)


def test_curvature_is_that_of_the_frozen_network(data, make, train):
    """L of the first step is the largest eigenvalue of the whole Hessian with constant statistics."""
    from gengap.engine.hessian.full import full_hessian
    from gengap.engine.objective import Objective

    schedule = {"name": "inverse_lipschitz", "refresh_steps": 4}
    cell = make(0, schedule=schedule, optimizer={"lr": 0.1, "momentum": 0.0})
    found = train({"cell": cell})["cell"]
    arch = stack.architecture(models.build(cell.model, (3, 8, 8), 1))
    state = {key: value[None] for key, value in found.checkpoints[0.0].items()}
    objective = Objective(arch, state, data.train_images, data.train_labels, cell.loss, through_batch=False)
    whole = full_hessian(objective, seed=0).matrix
    measured = next(value for epoch, quantity, value in found.history if quantity == "hessian_largest")
    assert measured == pytest.approx(torch.linalg.eigvalsh(whole)[-1].item(), rel=2e-3)


@pytest.mark.thorough
def test_the_compiled_step_is_compiled_once(make, train, compiled_graphs):
    model = {"name": "mlp", "depth": 1, "batchnorm": "before"}
    training = {"batch_size": 25, "statistics_steps": 2}
    cells = {f"seed={seed}": make(seed, model=model, training=training) for seed in range(2)}
    compiled, plain = train(cells, compile="on"), train(cells)
    assert len(compiled_graphs) == 1
    for name in cells:
        for key, value in compiled[name].checkpoints[float(EPOCHS)].items():
            torch.testing.assert_close(value, plain[name].checkpoints[float(EPOCHS)][key], rtol=1e-8, atol=1e-10)


@pytest.mark.thorough
def test_interrupted_at_every_third_step_it_ends_with_the_same_bits(data, make, tmp_path, monkeypatch):
    """Frozen statistics measured within epochs, and an L and its cost that are measured while training."""
    schedule = {"name": "inverse_lipschitz", "refresh_steps": 3}
    cells = {
        "one": make(0, training={"statistics_steps": 3}),
        "short": make(1, training={"statistics_steps": 3, "epochs": 1}),
        "two": make(2, schedule=schedule, optimizer={"momentum": 0.0}, training={"statistics_steps": 3}),
    }

    def run(folder):
        paths = tmp_path / folder / "weights.h5", tmp_path / folder / "history.h5"
        train_pack(
            cells, data, *paths, RunOptions(store_folder=tmp_path / folder / "store", device="cpu", save_seconds=3600)
        )
        return cell_result.read(cells, *paths)

    quiet = run("quiet")
    original, steps, endings = resume.Saver.step, 0, 0

    def interrupted(self, live, records):
        nonlocal steps
        steps += 1
        self._signal = signal.SIGTERM if steps % 4 == 0 else None  # three steps done since it began or went on
        original(self, live, records)

    monkeypatch.setattr(resume.Saver, "step", interrupted)
    while True:
        try:
            hurt = run("hurt")
            break
        except UserError:
            endings += 1
    assert endings == 4 * EPOCHS // 3 - 1
    for name in cells:
        assert hurt[name].history == quiet[name].history
        assert hurt[name].checkpoints.keys() == quiet[name].checkpoints.keys()
        for epoch, state in quiet[name].checkpoints.items():
            assert all(torch.equal(hurt[name].checkpoints[epoch][key], value) for key, value in state.items())
