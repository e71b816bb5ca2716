"""Augmentation of a stack against torchvision, image by image."""

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as vision

from gengap.training import augmentation
from gengap.training.augmentation import PADDING


def by_torchvision(image, flip, shift):
    """`RandomCrop(size, padding=4)` and `RandomHorizontalFlip` with their random numbers given."""
    height, width = image.shape[-2:]
    down, right = (int(value) + PADDING for value in shift)
    cropped = vision.crop(vision.pad(image, [PADDING] * 4), down, right, height, width)
    return vision.hflip(cropped) if flip else cropped


@pytest.fixture
def images():
    return torch.randn(3, 81, 2, 8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_every_shift_and_flip_equals_torchvisions(images):
    every = torch.cartesian_prod(torch.arange(-PADDING, PADDING + 1), torch.arange(-PADDING, PADDING + 1))
    shifts = torch.stack([every, every.flip(0), every.flip(1)])
    flips = torch.arange(3 * 81).view(3, 81) % 2 == 0
    found = augmentation.augment(images, flips, shifts)
    for network in range(3):
        for sample in range(81):
            expected = by_torchvision(images[network, sample], flips[network, sample], shifts[network, sample])
            assert torch.equal(found[network, sample], expected)


def test_a_batch_takes_each_samples_own_draw(images):
    """Networks with their own orders: whatever batch a sample falls in, its change is the one drawn for it."""
    data = images[0]
    drawn = [augmentation.draw("flip_crop", seed, 5, len(data)) for seed in range(2)]
    flips, shifts = (torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True))
    index = torch.tensor([[7, 0, 80], [3, 3, 1]])
    found = augmentation.augmented(data, index, flips, shifts)
    for network in range(2):
        for place, sample in enumerate(index[network]):
            expected = by_torchvision(data[sample], flips[network, sample], shifts[network, sample])
            assert torch.equal(found[network, place], expected)


def test_it_compiles_into_one_graph(images):
    flips, shifts = (torch.from_numpy(part) for part in augmentation.draw("flip_crop", 0, 0, 81))
    arguments = images, flips.expand(3, -1), shifts.expand(3, -1, -1)
    compiled = torch.compile(augmentation.augment, backend="aot_eager", fullgraph=True, dynamic=False)
    assert torch.equal(compiled(*arguments), augmentation.augment(*arguments))


def test_draws_depend_on_seed_and_epoch_alone():
    flips, shifts = augmentation.draw("flip_crop", 3, 7, 500)
    again = augmentation.draw("flip_crop", 3, 7, 500)
    assert (flips == again[0]).all()
    assert (shifts == again[1]).all()
    for seed, epoch in ((4, 7), (3, 8)):
        other = augmentation.draw("flip_crop", seed, epoch, 500)
        assert (flips != other[0]).any()
        assert (shifts != other[1]).any()


def test_draws_are_uniform():
    flips, shifts = augmentation.draw("flip_crop", 0, 0, 90_000)
    assert flips.mean() == pytest.approx(0.5, abs=0.01)
    for axis in range(2):
        values, counts = np.unique(shifts[:, axis], return_counts=True)
        assert values.tolist() == list(range(-PADDING, PADDING + 1))
        assert counts == pytest.approx(10_000, rel=0.05)
    assert np.corrcoef(shifts.T)[0, 1] == pytest.approx(0, abs=0.02)


def test_flip_alone_mirrors_the_same_samples_and_moves_none():
    flips, shifts = augmentation.draw("flip", 1, 2, 100)
    assert (flips == augmentation.draw("flip_crop", 1, 2, 100)[0]).all()
    assert not shifts.any()


def test_a_packs_draws_are_its_cells_own(make_cell):
    cells = [make_cell(seed, training={"augmentation": "flip_crop"}) for seed in (3, 1)]
    drawn = augmentation.draws(cells, 2, 50, torch.device("cpu"))
    for place, cell in enumerate(cells):
        flips, shifts = augmentation.draw("flip_crop", cell.seed, 2, 50)
        assert (drawn["flips"][place].numpy() == flips).all()
        assert (drawn["shifts"][place].numpy() == shifts).all()
    assert augmentation.draws([make_cell()], 2, 50, torch.device("cpu")) == {}
