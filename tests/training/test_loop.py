"""The pack engine against plain PyTorch, and against itself in other packs."""

import numpy as np
import pytest
import torch

from gengap import models, seeding
from gengap.engine import stack
from gengap.training import RunOptions, cell_result, train_pack
from gengap.training.data_order import order


def largest_difference(one, other):
    """Largest relative difference between two records' weights and learning curves."""
    assert one.checkpoints.keys() == other.checkpoints.keys()
    pairs = [
        (one.checkpoints[epoch][name], other.checkpoints[epoch][name])
        for epoch in one.checkpoints
        for name in one.checkpoints[epoch]
    ]
    weights = max(((a - b).norm() / b.norm().clamp(min=1e-12)).item() for a, b in pairs)
    curves = np.array([[a[2], b[2]] for a, b in zip(one.history, other.history, strict=True)])
    return max(weights, np.abs(curves[:, 0] - curves[:, 1]).max())


def test_one_network_equals_a_plain_pytorch_loop(data, make_cell, train):
    """The same initial weights and batches through torch.optim.SGD and nn.BatchNorm, float64."""
    cell = make_cell(optimizer={"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01})
    state = stack.initial_state([cell], (3, 8, 8), 1, dtype=torch.float64, device=torch.device("cpu"))
    network = models.build(cell.model, (3, 8, 8), 1).double()
    network.load_state_dict({name: value[0] for name, value in state.items()}, strict=False)
    sgd = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01)
    for epoch in range(3):
        for index in torch.from_numpy(order(cell.seed, epoch, 100)).split(30):
            sgd.zero_grad()
            margins = data.train_labels[index] * network(data.train_images[index])[:, 0]
            (1 - margins).clamp(min=0).square().mean().backward()
            sgd.step()
    found = train({"cell": cell})["cell"].checkpoints[3.0]
    for name, value in found.items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-9, atol=1e-12)


def test_a_pack_of_eight_equals_eight_packs_of_one(make_cell, train):
    """After 12 steps, with different learning rates, inits and momenta in the pack."""
    cells = {
        f"seed={seed}": make_cell(
            seed,
            optimizer={"lr": 0.02 * (1 + seed), "momentum": 0.1 * seed},
            init={"name": ("he", "xavier")[seed % 2]},
            training={"epochs": 3},
        )
        for seed in range(8)
    }
    together, alone = train(cells), train(cells, pack_size=1)
    for name in cells:
        assert largest_difference(together[name], alone[name]) < 1e-9


def test_a_cell_that_stops_early_leaves_the_others_as_they_are(make_cell, train):
    cells = {f"seed={seed}": make_cell(seed, training={"epochs": 2 + 3 * seed}) for seed in range(3)}
    together, alone = train(cells), train(cells, pack_size=1)
    assert [together[name].epochs_trained for name in cells] == [2, 5, 8]
    for name in cells:
        assert largest_difference(together[name], alone[name]) < 1e-9


@pytest.mark.thorough
def test_the_compiled_step_equals_the_plain_one(make_cell, train, compiled_graphs):
    """Also where the learning rate changes with every step."""
    cells = {
        f"seed={seed}": make_cell(seed, training={"epochs": 2}, schedule={"warm_up": 1.5 * seed}) for seed in range(2)
    }
    plain, compiled = train(cells), train(cells, compile="on")
    assert len(compiled_graphs) == 1
    for name in cells:
        for key, value in plain[name].checkpoints[2.0].items():  # biases before BatchNorm are rounding noise, 1e-17
            torch.testing.assert_close(compiled[name].checkpoints[2.0][key], value, rtol=1e-9, atol=1e-12, msg=key)
        for one, other in zip(compiled[name].history, plain[name].history, strict=True):
            assert one[:2] == other[:2]
            assert one[2] == pytest.approx(other[2], rel=1e-9), one[:2]


# A bias before BatchNorm has a gradient of rounding noise, which adaptive optimisers make a step of.
_PLAIN = {"model": {"name": "mlp", "width": 4, "batchnorm": "none"}}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "sections",
    [
        {"optimizer": {"name": "adam", "weight_decay": 0.01}, **_PLAIN},
        {"optimizer": {"name": "adamw", "weight_decay": 0.01}, **_PLAIN},
        {"optimizer": {"name": "adagrad"}, **_PLAIN},
        {"optimizer": {"name": "sgd_unit_rows"}},
        {"optimizer": {"nesterov": True, "momentum_correction": False}, "schedule": {"name": "multistep"}},
        {"optimizer": {"momentum": 0.0}, "schedule": {"name": "cosine"}},
        {"training": {"augmentation": "flip_crop"}},
        {"training": {"noise_std": 0.5, "noise_mode": "unit"}},
        {"training": {"noise_std": 0.5, "noise_factor": 0.5, "noise_mode": "affine"}},
        {"training": {"step_batchnorm": "exact", "statistics_steps": 2}},
        {"training": {"switch_epoch": 1, "switch_batch_size": 50, "restart_at_switch": True}},
        {"model": {"name": "vgg", "depth": 11, "width": 2, "dropout": 0.5}},
        {"loss": {"name": "cross_entropy"}},
    ],
    ids=str,
)
def test_whatever_a_step_is_made_of_it_is_the_same_compiled(sections, make_cell, train):
    cells = {
        f"seed={seed}": make_cell(seed, **(sections | {"training": {"epochs": 2} | sections.get("training", {})}))
        for seed in range(2)
    }
    plain, compiled = train(cells), train(cells, compile="on")
    for name in cells:
        for key, value in plain[name].checkpoints[2.0].items():
            torch.testing.assert_close(compiled[name].checkpoints[2.0][key], value, rtol=1e-7, atol=1e-10, msg=key)


def test_same_seed_gives_the_same_bits(make_cell, train):
    first = train({"cell": make_cell(seed=4)})["cell"]
    again = train({"cell": make_cell(seed=4)})["cell"]
    assert largest_difference(first, again) == 0


def test_snapshots_are_kept_at_the_epochs_asked_for(make_cell, train):
    found = train({"cell": make_cell(training={"snapshots": [0.25, 0.5, 2, 100]})})["cell"]
    assert sorted(found.checkpoints) == [0, 0.25, 0.5, 2, 3]


def test_a_snapshot_within_an_epoch_is_the_state_after_that_step(data, make_cell, train):
    """Epoch 0.25 of 4 steps is one step of plain SGD."""
    cell = make_cell(training={"snapshots": [0.25], "epochs": 1})
    checkpoints = train({"cell": cell})["cell"].checkpoints
    network = models.build(cell.model, (3, 8, 8), 1).double()
    network.load_state_dict(checkpoints[0.0], strict=False)
    index = torch.from_numpy(order(cell.seed, 0, 100))[:30]
    margins = data.train_labels[index] * network(data.train_images[index])[:, 0]
    loss = (1 - margins).clamp(min=0).square().mean()
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    for (name, value), gradient in zip(network.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(checkpoints[0.25][name], value.detach() - 0.05 * gradient, rtol=1e-9, atol=1e-12)


def test_divergence_is_a_result_and_hurts_nobody_else(make_cell, train):
    cells = {"lr=0.05": make_cell(), "lr=1e30": make_cell(optimizer={"lr": 1e30})}
    found = train(cells)
    assert (found["lr=1e30"].status, found["lr=1e30"].stopped_by) == ("diverged", "divergence")
    assert found["lr=0.05"].status == "finished"
    assert largest_difference(found["lr=0.05"], train({"lr=0.05": cells["lr=0.05"]})["lr=0.05"]) < 1e-9


def test_a_network_that_ignores_its_input_is_flagged_dead(data, make_cell, tmp_path, monkeypatch):
    """BatchNorm's shift far below zero behind the hidden layer: its ReLU never opens."""
    initial = stack.initial_state

    def killed(*args, **options):
        state = initial(*args, **options)
        state["hidden.bn.bias"] -= 100
        return state

    monkeypatch.setattr(stack, "initial_state", killed)
    paths = tmp_path / "w.h5", tmp_path / "h.h5"
    train_pack({"cell": make_cell()}, data, *paths, RunOptions(device="cpu"))
    assert cell_result.read({"cell": make_cell()}, *paths)["cell"].status == "dead"


def test_training_stops_at_the_accuracy_asked_for(make_cell, train):
    found = train({"cell": make_cell(training={"epochs": 60, "stop_accuracy": 0.9})})["cell"]
    assert found.stopped_by == "stop_accuracy"
    accuracies = found.train_accuracies()
    assert accuracies[-1][1] >= 0.9
    assert all(accuracy < 0.9 for _, accuracy in accuracies[:-1])
    assert found.epochs_trained < 60


def test_full_batch_is_one_step_per_epoch(data, make_cell, train):
    cell = make_cell(training={"batch_size": "full", "epochs": 1})
    checkpoints = train({"cell": cell})["cell"].checkpoints
    network = models.build(cell.model, (3, 8, 8), 1).double()
    network.load_state_dict(checkpoints[0.0], strict=False)
    loss = (1 - data.train_labels * network(data.train_images)[:, 0]).clamp(min=0).square().mean()
    gradient = torch.autograd.grad(loss, network.output.weight)[0]
    expected = network.output.weight.detach() - 0.05 * gradient
    torch.testing.assert_close(checkpoints[1.0]["output.weight"], expected, rtol=1e-9, atol=1e-12)


def test_the_batch_size_switches_at_its_epoch(data, make_cell, train):
    """One epoch in batches of 50, then two in batches of 25, by a plain PyTorch loop with momentum kept."""
    cell = make_cell(training={"batch_size": 50, "switch_epoch": 1, "switch_batch_size": 25})
    checkpoints = train({"cell": cell})["cell"].checkpoints
    network = models.build(cell.model, (3, 8, 8), 1).double()
    network.load_state_dict(checkpoints[0.0], strict=False)
    sgd = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for epoch, batch_size in enumerate((50, 25, 25)):
        for index in torch.from_numpy(order(cell.seed, epoch, 100)).split(batch_size):
            sgd.zero_grad()
            margins = data.train_labels[index] * network(data.train_images[index])[:, 0]
            (1 - margins).clamp(min=0).square().mean().backward()
            sgd.step()
    for name, value in network.named_parameters():
        torch.testing.assert_close(checkpoints[3.0][name], value.detach(), rtol=1e-9, atol=1e-12)


def test_a_restart_is_a_second_training_from_the_same_start(data, make_cell, train):
    """Two epochs in batches of 50 and, from the first weights with new momentum, two of 25; also in packs."""
    training = {"batch_size": 50, "switch_epoch": 2, "switch_batch_size": 25, "restart_at_switch": True, "epochs": 4}
    cells = {f"seed={seed}": make_cell(seed, training={**training, "snapshots": [2]}) for seed in range(2)}
    first = train(
        {name: make_cell(cell.seed, training={"batch_size": 50, "epochs": 2}) for name, cell in cells.items()}
    )
    for name, cell in cells.items():
        checkpoints = train({name: cell})[name].checkpoints
        for key, value in first[name].checkpoints[2.0].items():
            torch.testing.assert_close(checkpoints[2.0][key], value, rtol=1e-12, atol=1e-14)
        network = models.build(cell.model, (3, 8, 8), 1).double()
        network.load_state_dict(checkpoints[0.0], strict=False)
        sgd = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
        for epoch in (2, 3):
            for index in torch.from_numpy(order(cell.seed, epoch, 100)).split(25):
                sgd.zero_grad()
                margins = data.train_labels[index] * network(data.train_images[index])[:, 0]
                (1 - margins).clamp(min=0).square().mean().backward()
                sgd.step()
        for key, value in network.state_dict().items():
            if "num_batches" not in key:
                torch.testing.assert_close(checkpoints[4.0][key], value, rtol=1e-9, atol=1e-12)


def test_the_order_depends_on_seed_and_epoch_alone():
    assert sorted(order(3, 7, 50)) == list(range(50))
    assert (order(3, 7, 50) == order(3, 7, 50)).all()
    assert (order(3, 7, 50) != order(3, 8, 50)).any()
    assert (order(3, 7, 50) != order(4, 7, 50)).any()
    # Streams of different purpose do not coincide.
    assert seeding.torch_seed(3, seeding.INIT) != seeding.torch_seed(3, seeding.ORDER)


def test_finished_cells_are_found_again_and_changed_data_is_not(data, other_data, make_cell, tmp_path, caplog):
    paths = tmp_path / "weights.h5", tmp_path / "history.h5"
    first = {"seed=0": make_cell(0), "seed=1": make_cell(1)}
    train_pack(first, data, *paths, RunOptions(device="cpu"))
    before = cell_result.read(first, *paths)
    with caplog.at_level("INFO", logger="gengap"):
        train_pack(first | {"seed=2": make_cell(2)}, data, *paths, RunOptions(device="cpu"))
    assert "1 of 3 cells are to be trained, 2 were found finished" in caplog.text
    after = cell_result.read(first, *paths)
    assert all(largest_difference(before[name], after[name]) == 0 for name in first)
    with caplog.at_level("INFO", logger="gengap"):
        train_pack(
            {"seed=0": make_cell(0, optimizer={"lr": 0.01}), "seed=1": make_cell(1)},
            data,
            *paths,
            RunOptions(device="cpu"),
        )
        train_pack(first, other_data, *paths, RunOptions(device="cpu"))
    assert "1 of 2 cells are to be trained, 1 were found finished" in caplog.text
    assert "2 of 2 cells are to be trained, 0 were found finished" in caplog.text


def test_a_damaged_file_is_said_and_its_cells_trained_again(data, make_cell, tmp_path, caplog):
    paths = tmp_path / "weights.h5", tmp_path / "history.h5"
    train_pack({"seed=0": make_cell(0)}, data, *paths, RunOptions(device="cpu"))
    paths[0].write_bytes(paths[0].read_bytes()[:1000])
    train_pack({"seed=0": make_cell(0)}, data, *paths, RunOptions(device="cpu"))
    assert "damaged" in caplog.text
    assert cell_result.read({"seed=0": make_cell(0)}, *paths)["seed=0"].epochs_trained == 3


@pytest.mark.parametrize("name", ["running", "exact", "batch"])
def test_the_last_accuracy_is_the_one_of_the_stated_batchnorm_mode(data, make_cell, train, name):
    from gengap.engine import evaluation

    cell = make_cell(training={"batchnorm": name})
    found = train({"cell": cell})["cell"]
    arch = stack.architecture(models.build(cell.model, (3, 8, 8), 1))
    state = {key: value[None] for key, value in found.checkpoints[3.0].items()}
    state = evaluation.for_mode(arch, state, data.train_images, name)
    outputs = evaluation.all_outputs(arch, state, data.test_images, name)
    measured = evaluation.performance(outputs, data.test_labels, cell.loss)
    recorded = {quantity: value for epoch, quantity, value in found.history if epoch == 3}
    assert recorded["test_accuracy"] == pytest.approx(measured["accuracy"].item())
    assert recorded["test_loss"] == pytest.approx(measured["loss"].item())


@pytest.mark.parametrize("reason", ["stop_accuracy", "plateau", "epochs"])
def test_evaluations_of_others_decide_nothing_for_a_cell(reason, make_cell, train):
    """A cell is evaluated at its own epochs, whatever the last epochs of the pack's other cells are."""
    schedule = {"name": "plateau", "patience": 1, "threshold": 0.5, "max_drops": 9} if reason == "plateau" else {}
    stop = {"stop_accuracy": 0.6} if reason == "stop_accuracy" else {}
    training = {"epochs": 8, "evaluate_every": 4, **stop}
    cell = make_cell(0, training=training, schedule=schedule)
    pack = {"cell": cell} | {
        f"{epochs} epochs": make_cell(1, training={"epochs": epochs, "evaluate_every": 4}, schedule=schedule)
        for epochs in (1, 3, 5, 7)
    }
    alone, together = train({"cell": cell})["cell"], train(pack)["cell"]
    assert (together.status, together.epochs_trained) == (alone.status, alone.epochs_trained)
    assert largest_difference(alone, together) < 1e-9
