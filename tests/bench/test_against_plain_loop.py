"""The control against a plain loop, at toy size."""

import dataclasses

import pytest
import torch
from torchvision.transforms import functional as vision

from bench import agreement
from gengap.labels import LabelledData


@pytest.fixture
def data():
    """Images of three classes, told apart by the channel that is bright."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=generator)
    images = torch.randn(300, 3, 8, 8, generator=generator)
    images[torch.arange(300), labels] += 1.0
    return LabelledData(images[:200], labels[:200], images[200:], labels[200:], 3, "digest")


def test_both_programs_learn_and_agree(data):
    """An easy task, on which any program that follows the settings is nearly always right."""
    cell = agreement.settings_of("decay_5e-4", width=2, epochs=8, images=0, seed=0)
    training = {"batch_size": 20, "dtype": "float32", "augmentation": "none"}
    sections = {"model": {"name": "vgg", "depth": 11, "width": 2}, "training": {**dict(cell.training), **training}}
    cell = type(cell).model_validate({**dict(cell), **sections})
    found = list(agreement.run([cell], data, "cpu", "toy", (agreement.ours, agreement.plain_loop)))
    assert [row.case for row in found] == [f"agreement/toy,evaluation={mode}" for mode in agreement.MODES]
    for row in found:
        assert min(row.ours, row.theirs) > 80, row.case
        assert row.unit == "% right"


@pytest.mark.parametrize("candidate", agreement.CANDIDATES)
def test_a_candidate_differs_from_the_study_in_its_own_settings(candidate):
    sizes = {"width": 64, "epochs": 200, "images": 0, "seed": 0}
    study, other = (agreement.settings_of(name, **sizes).identity() for name in ("study", candidate))
    changed = {key for key in {*study, *other} if study.get(key) != other.get(key)}
    named = {f"{section}.{key}" for section, keys in agreement.CANDIDATES[candidate].items() for key in keys}
    assert changed == named


def test_moved_images_are_shifts_and_mirror_images():
    images = torch.arange(1.0, 1 + 2 * 36).view(1, 2, 6, 6)
    padded = vision.pad(images, [4] * 4)
    crops = [vision.crop(padded, down, right, 6, 6) for down in range(9) for right in range(9)]
    allowed = {tuple(each.flatten().tolist()) for crop in crops for each in (crop, crop.flip(3))}
    seen = {tuple(one.flatten().tolist()) for one in agreement.moved(images.expand(200, -1, -1, -1), "flip_crop")}
    assert seen <= allowed
    assert len(seen) > 60
    assert agreement.moved(images, "none") is images
    flips = {tuple(one.flatten().tolist()) for one in agreement.moved(images.expand(20, -1, -1, -1), "flip")}
    assert flips == {tuple(each.flatten().tolist()) for each in (images, images.flip(3))}


def test_averaged_statistics_are_those_of_the_whole_set(data):
    """Of one batch exactly: images that a network with one BatchNorm sees."""
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(192, 3))
    some = dataclasses.replace(data, train_images=3 + 2 * data.train_images)
    agreement._plain_accuracy(net, some.train_images, some, "exact")
    torch.testing.assert_close(net[0].running_mean, some.train_images.mean(dim=(0, 2, 3)))
