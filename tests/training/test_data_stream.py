"""Streamed images: independent of pack and interruption, labelled by the stored teacher, seen by no evaluation."""

import itertools

import pytest
import torch

from gengap import labels, losses, models, seeding
from gengap.datasets import prepare
from gengap.engine import stack
from gengap.errors import UserError
from gengap.studies.settings import Cell, Dataset, Labels
from gengap.training import data_stream, on_device

SHAPE = (5, 1, 1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 stored images and a teacher with 3 outputs."""
    folder = tmp_path_factory.mktemp("streamed")
    prepare(Dataset.model_validate(SECTIONS["dataset"]), folder, folder / "p.h5")
    labels.label(Labels.model_validate(SECTIONS["labels"]), folder / "p.h5", folder / "l.h5")
    return labels.read(folder / "p.h5", folder / "l.h5")


SECTIONS = {
    "dataset": {"name": "gaussian", "image_size": 1, "channels": 5, "std": 2.0, "n_train": 100, "n_test": 30}
    | {"stream": True, "stored": 40},
    "labels": {"name": "distinct_teacher", "teacher_width": 4, "teacher_outputs": 3},
    "model": {"name": "mlp", "width": 8},
    "loss": "distillation",
    "optimizer": {"lr": 0.02, "momentum": 0.0},
    "training": {"batch_size": 30, "epochs": 2, "dtype": "float64", "snapshots": [0]},
}


def cell(seed=0, **changes):
    """100 images per epoch in batches of 30, so 4 steps per epoch and a smaller last batch."""
    content = {key: dict(value) if isinstance(value, dict) else value for key, value in SECTIONS.items()}
    for section, values in changes.items():
        content[section] = content.get(section, {}) | values if isinstance(values, dict) else values
    return Cell.model_validate({**content, "seed": seed})


def made(cells, data):
    return data_stream.data_stream(cells, data.teacher, SHAPE, torch.float64, CPU)


def drawn(cells, data, epoch=0, sizes=(30, 30, 10), start=0):
    """Images and targets of every network in every step, copied before the next step overwrites them."""
    stream = made(cells, data)
    return [
        (stream.images[index].clone(), stream.targets[index].clone())
        for index in stream.epoch([one.seed for one in cells], epoch, sizes, start)
    ]


def test_a_network_sees_what_its_seed_and_the_step_say_and_learns_what_the_teacher_says(data, train):
    """A plain PyTorch loop that draws the same images, float64."""
    found = train({"cell": cell(seed=3)}, data=data)["cell"]
    network = models.build(cell().model, SHAPE, 3).double()
    network.load_state_dict(found.checkpoints[0.0])
    teacher = models.build(data.teacher.model, SHAPE, 3).double()
    teacher.load_state_dict(dict(data.teacher.state))
    for epoch, (number, size) in itertools.product(range(2), enumerate((30, 30, 30, 10))):
        generator = torch.Generator().manual_seed(seeding.torch_seed(3, seeding.STREAM, 0, epoch, number))
        images = 2 * torch.randn(size, *SHAPE, generator=generator, dtype=torch.float64)
        loss = (network(images) - teacher(images).detach()).square().mean()
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= 0.02 * parameter.grad
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found.checkpoints[2.0][name], value, rtol=1e-9, atol=1e-12)
    assert (found.checkpoints[2.0]["output.weight"] - found.checkpoints[0.0]["output.weight"]).abs().max() > 0.01


def test_batches_depend_on_neither_pack_nor_interruption(data):
    cells = [cell(seed) for seed in (4, 1, 7)]
    together, alone = drawn(cells, data, epoch=1), drawn(cells[1:2], data, epoch=1)
    resumed = drawn(cells, data, epoch=1, start=1)
    for (images, targets), (own_images, own_targets) in zip(together, alone, strict=True):
        assert torch.equal(images[1], own_images[0])
        torch.testing.assert_close(targets[1], own_targets[0], rtol=1e-12, atol=1e-12)
    for one, other in zip(together[1:], resumed, strict=True):
        assert torch.equal(one[0], other[0])
    firsts = [together[0][0][0], together[0][0][1], together[1][0][0], drawn(cells, data, epoch=2)[0][0][0]]
    assert len({float(images[0, 0, 0, 0]) for images in firsts}) == 4


def test_cells_of_one_seed_share_the_pool_and_the_teachers_pass(data, monkeypatch):
    cells = [cell(seed, optimizer={"lr": lr}) for lr in (0.01, 0.02, 0.04) for seed in (0, 1)]
    stream, passes = made(cells, data), []
    outputs = stack.outputs
    monkeypatch.setattr(stack, "outputs", lambda *given: passes.append(len(given[2])) or outputs(*given))
    index = next(stream.epoch([one.seed for one in cells], 0, [30]))
    assert passes == [60]  # two seeds, not six networks
    assert index.shape == (6, 30)
    assert torch.equal(index[0], index[2])
    assert not set(index[0].tolist()) & set(index[1].tolist())


def test_the_pool_stays_the_same_tensor_as_a_recorded_step_needs(data):
    stream = made([cell(0), cell(1)], data)
    before = stream.images.data_ptr(), stream.targets.data_ptr()
    for _ in stream.epoch([0, 1], 0, [30, 30, 10]):
        assert (stream.images.data_ptr(), stream.targets.data_ptr()) == before


def test_pixels_are_normal(data):
    pixels = torch.cat([images for images, _ in drawn([cell(seed) for seed in range(20)], data, sizes=[30] * 40)])
    n = pixels.numel()
    assert abs(pixels.mean()) < 5 * 2 / n**0.5
    assert abs(pixels.std() - 2) < 5 * 2 / (2 * n) ** 0.5


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_other_losses_get_the_classes_that_the_teacher_says(n_outputs, tmp_path):
    prepare(Dataset.model_validate(SECTIONS["dataset"]), tmp_path, tmp_path / "p.h5")
    rule = Labels.model_validate({**SECTIONS["labels"], "teacher_outputs": n_outputs})
    labels.label(rule, tmp_path / "p.h5", tmp_path / "l.h5")
    data = labels.read(tmp_path / "p.h5", tmp_path / "l.h5")
    stream = made([cell(loss="cross_entropy")], data)
    next(stream.epoch([0], 0, [30]))
    said = stack.outputs(stream.teacher.evaluation, stream.state, stream.images)[0]
    expected = said[:, 0].sign().long() if n_outputs == 1 else said.argmax(dim=1)
    assert torch.equal(stream.targets, expected)
    assert losses.n_outputs(cell(loss="cross_entropy").loss, data.n_classes) == n_outputs


def test_a_pack_of_streams_trains_as_its_cells_do_alone(data, train):
    cells = {f"{seed}-{lr}": cell(seed, optimizer={"lr": lr}) for seed in (0, 1) for lr in (0.01, 0.03)}
    together, alone = train(cells, data=data), train(cells, data=data, pack_size=1)
    for name in cells:
        for key, value in together[name].checkpoints[2.0].items():
            torch.testing.assert_close(value, alone[name].checkpoints[2.0][key], rtol=1e-9, atol=1e-12)


def test_full_batches_and_images_without_a_teacher_are_refused(data):
    full = cell(training={"batch_size": "full"})
    with pytest.raises(UserError, match=r"training\.batch_size: full is not possible with dataset\.stream"):
        made([full], data)
    bare = labels.LabelledData(
        data.train_images, data.train_labels, data.test_images, data.test_labels, data.n_classes, data.digest
    )
    with pytest.raises(UserError, match=r"dataset\.stream: true draws images without labels"):
        on_device(bare, [cell(loss="cross_entropy")], torch.float64, CPU)
