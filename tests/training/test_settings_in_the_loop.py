"""Augmentation, noise and the loss threshold as the loop applies them, against plain PyTorch, float64."""

import dataclasses

import pytest
import torch
from torch import nn

from gengap import models, seeding
from gengap.engine import noise_draws, stack
from gengap.engine.layers import noise as engine_noise
from gengap.labels import patching
from gengap.studies.settings import Schedule
from gengap.training import augmentation
from gengap.training.data_order import order

CPU = torch.device("cpu")


def plain_loop(data, cell, prepare=None, before_step=None, warm_up=None):
    """Two epochs by PyTorch's own modules and Adam, from the cell's initial weights and in its order of samples."""
    state = stack.initial_state([cell], (3, 8, 8), 1, dtype=torch.float64, device=CPU)
    network = models.build(cell.model, (3, 8, 8), 1).double()
    network.load_state_dict({name: value[0] for name, value in state.items()}, strict=False)
    adam = torch.optim.Adam(network.parameters(), cell.optimizer.lr, weight_decay=cell.optimizer.weight_decay)
    for epoch in range(2):
        for number, index in enumerate(torch.from_numpy(order(cell.seed, epoch, 100)).split(30)):
            rate = cell.optimizer.lr * (1 - epoch / 2)
            adam.param_groups[0]["lr"] = rate * (warm_up(epoch + number / 4) if warm_up else 1.0)
            images = data.train_images[index]
            images = prepare(images, index, epoch) if prepare else images
            handles = before_step(network, epoch, number) if before_step else []
            adam.zero_grad()
            (network(images)[:, 0] - data.train_labels[index]).square().mean().backward()
            adam.step()
            for handle in handles:
                handle.remove()
    return network.state_dict()


@pytest.fixture
def make(make_cell):
    def run(seed, **training):
        return make_cell(
            seed,
            optimizer={"name": "adam", "lr": 0.01, "weight_decay": 0.001},
            schedule={"name": "linear"},
            loss={"name": "squared"},
            training={"epochs": 2, **training},
        )

    return run


def assert_trained(found, expected):
    for name, value in found.checkpoints[2.0].items():
        # Biases before a BatchNorm have no gradient but rounding, which Adam makes whole steps of.
        if not name.endswith(("conv1.bias", "conv2.bias", "shortcut.bias", "linear.bias", "running_mean")):
            torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-8)


def test_augmented_training_equals_a_plain_loop(data, make, train):
    cells = {f"seed={seed}": make(seed, augmentation="flip_crop") for seed in range(2)}
    found = train(cells)
    for name, cell in cells.items():

        def prepare(images, index, epoch, cell=cell):
            flips, shifts = augmentation.draw("flip_crop", cell.seed, epoch, 100)
            flips, shifts = torch.from_numpy(flips)[index], torch.from_numpy(shifts)[index]
            return augmentation.augment(images[None], flips[None], shifts[None])[0]

        assert_trained(found[name], plain_loop(data, cell, prepare=prepare))


def test_training_on_patches_equals_a_plain_loop(data, make, train):
    """Every epoch of every seed has its own draws; the images that are evaluated stay."""
    generator = torch.Generator().manual_seed(5)
    patches = patching.Patches(
        images=data.train_images + 1,
        classes=(data.train_labels > 0).long(),
        members=torch.rand(100, generator=generator) < 0.7,
        common=torch.randn(3, 3, 3, generator=generator, dtype=torch.float64),
        by_class=torch.randn(2, 3, 3, 3, generator=generator, dtype=torch.float64),
        blank_share=0.4,
        blank_factor=1.75,
    )
    cells = {f"seed={seed}": make(seed) for seed in range(2)}
    found = train(cells, data=dataclasses.replace(data, patches=patches))
    for name, cell in cells.items():

        def prepare(_images, index, epoch, cell=cell):
            uniform = seeding.stream(cell.seed, seeding.AUGMENTATION, epoch, 1).random((100, 3))
            blank, strengths = patching.draw(uniform, 0.4, 1.75)
            prepared = []
            for sample in index.tolist():
                image = patches.images[sample].clone()
                if patches.members[sample]:
                    if blank[sample]:
                        image[:] = 0
                    own = patches.by_class[patches.classes[sample]]
                    image[:, 2:5, 2:5] = patches.common + strengths[sample].item() * own
                prepared.append(image)
            return torch.stack(prepared)

        assert_trained(found[name], plain_loop(data, cell, prepare=prepare))


@pytest.mark.parametrize("epochs", [0.75, 1.5])
def test_training_that_warms_up_equals_a_plain_loop(data, make, train, epochs):
    """Beside a cell that does not."""
    schedule = Schedule(name="linear", warm_up=epochs, warm_up_start=0.25)
    cells = {"warm": make(0).model_copy(update={"schedule": schedule}), "plain": make(0)}
    found = train(cells)
    assert_trained(
        found["warm"], plain_loop(data, cells["warm"], warm_up=lambda at: min(1.0, 0.25 + 0.75 * at / epochs))
    )
    assert_trained(found["plain"], plain_loop(data, cells["plain"]))


@pytest.mark.parametrize("mode", ["shared", "unit"])
def test_noisy_training_equals_a_plain_loop(data, make, train, mode):
    options = {"noise_std": 0.3, "noise_mode": mode, "noise_factor": 0.1}
    cells = {f"seed={seed}": make(seed, **options) for seed in range(2)}
    found = train(cells)
    arch = stack.architecture(models.build(cells["seed=0"].model, (3, 8, 8), 1))
    buffer_shapes = engine_noise.buffer_shapes(engine_noise.noisy(arch.training, "unit"), (3, 8, 8))
    for name, cell in cells.items():
        fields = [
            list(noise_draws.draws([cell], buffer_shapes, e, [30, 30, 30, 10], dtype=torch.float64, device=CPU))
            for e in range(2)
        ]

        def add(network, epoch, number, fields=fields):
            return [
                layer.register_forward_pre_hook(
                    lambda _, inputs, f=fields[epoch][number][f"{where}.noise"][0]: (inputs[0] + f,)
                )
                for where, layer in network.named_modules()
                if isinstance(layer, nn.ReLU)
            ]

        assert_trained(found[name], plain_loop(data, cell, before_step=add))


def test_training_stops_at_the_loss_asked_for(make_cell, train):
    found = train({"cell": make_cell(training={"epochs": 60, "stop_loss": 0.4})})["cell"]
    losses = [value for epoch, quantity, value in found.history if quantity == "train_loss" and epoch > 0]
    assert found.stopped_by == "stop_loss"
    assert losses[-1] <= 0.4
    assert all(value > 0.4 for value in losses[:-1])
    assert found.epochs_trained < 60
