"""Dropout as the loop applies it, against plain PyTorch with the same draws, and what is drawn."""

import pytest
import torch
from torch import nn

from gengap import models
from gengap.engine import stack
from gengap.engine.layers import dropout as engine_dropout
from gengap.studies.settings import Cell
from gengap.training import dropout, random_inputs
from gengap.training.data_order import order

CPU = torch.device("cpu")
MODEL = {"name": "keskar_conv", "width": 2}


@pytest.fixture
def buffer_shapes():
    """Where `keskar_conv` drops values: behind its dense layers of 12 and 6 units."""
    arch = stack.architecture(models.build(Cell.model_validate({"model": MODEL}).model, (3, 8, 8), 1))
    return engine_dropout.buffer_shapes(engine_dropout.masked(arch.training), (3, 8, 8))


def test_buffers_are_found_with_their_shape_and_share(buffer_shapes):
    assert buffer_shapes == {"linear1_dropout.kept": ((12,), 0.5), "linear2_dropout.kept": ((6,), 0.5)}


def test_a_network_without_dropout_is_left_as_it_is():
    arch = stack.architecture(models.build(Cell().model, (3, 8, 8), 1))
    assert random_inputs.network(arch, Cell()) is arch.training
    assert not engine_dropout.buffer_shapes(arch.training, (3, 8, 8))


def test_the_share_that_is_kept_is_the_one_asked_for():
    draws = dropout.draws([Cell(seed=0), Cell(seed=1)], {"drop.kept": (torch.Size([50, 50]), 0.3)}, 0, [40], CPU)
    kept = next(draws)["drop.kept"]
    assert kept.dtype == torch.bool
    assert kept.shape == (2, 40, 50, 50)
    torch.testing.assert_close(kept.double().mean(dim=(1, 2, 3)), torch.full((2,), 0.7).double(), atol=0.006, rtol=0)


def test_draws_depend_on_seed_and_epoch_alone(buffer_shapes):
    def draw(seeds, epoch):
        return [
            each["linear1_dropout.kept"]
            for each in dropout.draws([Cell(seed=s) for s in seeds], buffer_shapes, epoch, [30, 30], CPU)
        ]

    together, alone, later = draw([4, 7], 2), draw([7], 2), draw([7], 3)
    assert all((one[1] == other[0]).all() for one, other in zip(together, alone, strict=True))
    assert (together[0][0] != together[0][1]).any()
    assert (alone[0] != alone[1]).any()
    assert (alone[0] != later[0]).any()


def test_training_with_dropout_equals_a_plain_loop(data, make_cell, train, buffer_shapes):
    cells = {f"seed={seed}": make_cell(seed, model=MODEL, training={"epochs": 2}) for seed in range(2)}
    found = train(cells)
    masks: dict[str, torch.Tensor] = {}
    for name, cell in cells.items():
        state = stack.initial_state([cell], (3, 8, 8), 1, dtype=torch.float64, device=CPU)
        network = models.build(cell.model, (3, 8, 8), 1).double()
        network.load_state_dict({key: value[0] for key, value in state.items()}, strict=False)
        for where, layer in network.named_modules():
            if isinstance(layer, nn.Dropout):
                layer.register_forward_hook(
                    lambda _, inputs, out, where=where: inputs[0] * masks[f"{where}.kept"][0] * 2
                )
        sgd = torch.optim.SGD(network.parameters(), cell.optimizer.lr, momentum=0.9)
        for epoch in range(2):
            draws = dropout.draws([cell], buffer_shapes, epoch, [30, 30, 30, 10], CPU)
            batches = torch.from_numpy(order(cell.seed, epoch, 100)).split(30)
            for index, drawn in zip(batches, draws, strict=True):
                masks.update(drawn)
                sgd.zero_grad()
                margins = data.train_labels[index] * network(data.train_images[index])[:, 0]
                (1 - margins).clamp(min=0).square().mean().backward()
                sgd.step()
        for key, value in found[name].checkpoints[2.0].items():
            torch.testing.assert_close(value, network.state_dict()[key], rtol=1e-8, atol=1e-10)


def test_measuring_drops_nothing(data, make_cell):
    """In BatchNorm mode `batch` too, in which the network is otherwise as in training."""
    cell = make_cell(model=MODEL)
    arch = stack.architecture(models.build(cell.model, (3, 8, 8), 1))
    state = stack.initial_state([cell], (3, 8, 8), 1, dtype=torch.float64, device=CPU)
    network = models.build(cell.model, (3, 8, 8), 1).double()
    network.load_state_dict({key: value[0] for key, value in state.items()}, strict=False)
    for layer in network.modules():
        layer.training = not isinstance(layer, nn.Dropout)
    found = torch.func.vmap(lambda one: stack.outputs_and_buffers(arch, arch.batch, one, data.train_images)[0])(state)
    torch.testing.assert_close(found[0], network(data.train_images), rtol=1e-9, atol=1e-12)
