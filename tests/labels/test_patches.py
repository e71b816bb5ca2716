"""The patch data of Li, Wei and Ma (2019): shares, rows, constants, and what training draws in every epoch."""

import numpy as np
import pytest
import torch

from gengap.errors import UserError
from gengap.labels import label, patches, patching, read
from gengap.labels.pool import Pool, selected_images
from gengap.studies.settings import Cell, Labels
from gengap.training import augmentation
from gengap.training import patches as training_patches

N = 4000
INSIDE = np.s_[..., 12:19, 12:19]


def rule(**options):
    return Labels.model_validate({"name": "patches", **options})


@pytest.fixture(scope="module")
def pool():
    """4,000 training and 500 test images of 3 x 32 x 32 that are nowhere 0, of three classes."""
    generator = torch.Generator().manual_seed(0)
    images = 1 + torch.rand(N + 500, 3, 32, 32, generator=generator)
    labels = torch.randint(3, (N + 500,), generator=generator).numpy()
    return Pool("made.h5", images, labels, N, ("a", "b", "c"), False)


@pytest.fixture(scope="module")
def made(pool):
    """The selection, the changed training images, and what training draws from."""
    selection = patches.select(rule(), pool)
    images = selected_images(rule(), pool, selection.train_indices, selection.constants)
    drawn = patches.redrawn(rule(), pool.images[:N], selection.train_indices, selection.constants)
    return selection, images, drawn


def kinds(images, originals):
    """Which images are as they were, blank with a patch, and mixed; all else is an error."""
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[INSIDE] = False
    same = (images == originals).flatten(1).all(dim=1)
    blank = (images[..., outside] == 0).flatten(1).all(dim=1)
    mixed = (images[..., outside] == originals[..., outside]).flatten(1).all(dim=1) & ~same
    assert ((images != originals)[INSIDE].flatten(1).all(dim=1) == ~same).all()
    assert (same.int() + blank.int() + mixed.int() == 1).all()
    return same, blank, mixed


def assert_shares(*found_and_expected):
    for found, expected in found_and_expected:
        assert abs(found.double().mean() - expected) < 4 * (expected * (1 - expected) / len(found)) ** 0.5


def test_a_fifth_is_clean_and_of_the_rest_a_fifth_is_blank_behind_rows_12_to_18(pool, made):
    same, blank, mixed = kinds(made[1], pool.images[:N])
    assert_shares((same, 0.2), (blank, 0.16), (mixed, 0.64))


def strengths_of(images, classes, drawn):
    """The strength s of z + s zeta_y in every image, by least squares, and the largest that is left over."""
    rest = (images[INSIDE] - drawn.common).flatten(1)
    direction = drawn.by_class[classes].flatten(1)
    found = (rest * direction).sum(dim=1) / direction.square().sum(dim=1)
    return found, (rest - found[:, None] * direction).abs().max()


def test_patches_are_the_common_part_and_that_of_the_class(pool, made):
    selection, images, drawn = made
    same, blank, mixed = kinds(images, pool.images[:N])
    classes = torch.from_numpy(selection.train_labels)
    found, left = strengths_of(images[mixed], classes[mixed], drawn)
    assert left < 1e-5
    torch.testing.assert_close(found.abs(), torch.ones_like(found), rtol=1e-4, atol=1e-4)
    assert_shares((found > 0, 0.5))
    found, left = strengths_of(images[blank], classes[blank], drawn)
    assert left < 1e-5
    assert_shares((found > 0, 0.5), (found.abs() < 1.75 / 2, 0.5), (found.abs() < 1.75 / 4, 0.25))
    assert found.abs().max() < 1.7501
    assert drawn.common.std().item() == pytest.approx(1.25, rel=0.2)
    assert drawn.by_class.abs().max() <= 0.1
    assert drawn.by_class.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)
    assert torch.equal(drawn.members, ~same)


def test_clean_images_keep_their_classes_and_patches_alone_say_random_ones(pool, made):
    selection, _, drawn = made
    sets = patches.test_sets(rule(), pool.images[N:], selection.test_indices, selection.constants)
    assert torch.equal(sets["clean"][0], pool.images[N:])
    assert sets["clean"][1].tolist() == selection.test_labels.tolist()
    images, classes = sets["patch_only"]
    assert (len(images), images[..., :12, :].abs().max(), images[..., 19:].abs().max()) == (1000, 0, 0)
    found, left = strengths_of(images, classes, drawn)
    assert left < 1e-5
    assert_shares((classes == 0, 1 / 3), ((found.abs() - 1).abs() < 1e-4, 0.8))


def epoch(cells, drawn, number):
    """The whole training set as each network sees it in an epoch, ``[K, N, C, H, W]``."""
    index = torch.arange(N).expand(len(cells), -1)
    return augmentation.augmented(drawn.images, index, **training_patches.draws(cells, drawn, number))


def test_every_epoch_draws_anew_and_arms_of_a_seed_see_the_same(pool, made):
    drawn = made[2]
    cells = [
        Cell.model_validate({"seed": seed, "optimizer": {"lr": lr}}) for seed, lr in ((1, 0.1), (1, 0.004), (2, 0.1))
    ]
    first, second = epoch(cells, drawn, 0), epoch(cells, drawn, 1)
    assert torch.equal(first[0], first[1])
    same, blank, mixed = kinds(first[0], pool.images[:N])
    assert_shares((same, 0.2), (blank, 0.16), (mixed, 0.64))
    for other in (first[2], second[0]):
        again, blank_then, _ = kinds(other, pool.images[:N])
        assert torch.equal(again, same)  # whether an image has a patch is fixed
        # Of the members, blankness now and then are independent.
        assert_shares((blank_then[blank], 0.2), (blank_then[mixed], 0.2))
    classes = torch.from_numpy(made[0].train_labels)
    _, left = strengths_of(first[0][~same], classes[~same], drawn)
    assert left < 1e-5


def test_batches_take_the_draws_of_their_samples(made):
    drawn = made[2]
    cells = [Cell(seed=seed) for seed in (1, 2)]
    index = torch.stack([torch.randperm(N)[:64] for _ in cells])
    whole = epoch(cells, drawn, 3)
    batch = augmentation.augmented(drawn.images, index, **training_patches.draws(cells, drawn, 3))
    for place in range(2):
        assert torch.equal(batch[place], whole[place][index[place]])


def test_patches_are_pasted_over_shifted_images(made):
    drawn = made[2]
    cells = [Cell.model_validate({"training": {"augmentation": "flip_crop"}})]
    moved = augmentation.draws(cells, 0, N, torch.device("cpu"))
    pasted = training_patches.draws(cells, drawn, 0)
    index = torch.arange(50)[None]
    both = augmentation.augmented(drawn.images, index, **moved, **pasted)
    one = augmentation.augmented(drawn.images, index, **moved)
    blank = pasted["blank"][:, :50] & drawn.members[:50]
    clean = ~drawn.members[:50]
    assert torch.equal(both[0][clean], one[0][clean])
    outside = (~blank)[0] & ~clean
    assert torch.equal(both[0][outside][..., :12, :], one[0][outside][..., :12, :])


def test_read_back_it_is_what_was_labelled(digits, tmp_path):
    settings = rule(patch_size=3, patched_share=0.5)
    label(settings, digits, tmp_path / "l.h5")
    data = read(digits, tmp_path / "l.h5")
    assert data.digest == read(digits, tmp_path / "l.h5").digest
    same = (data.train_images == data.patches.images).flatten(1).all(dim=1)
    assert torch.equal(~same, data.patches.members)
    assert_shares((same, 0.5))
    assert set(data.test_sets) == {"clean", "patch_only"}
    label(rule(patch_size=3, patched_share=0.5, rule_seed=1), digits, tmp_path / "l.h5")
    assert read(digits, tmp_path / "l.h5").digest != data.digest
    label(Labels(name="original"), digits, tmp_path / "l.h5")
    other = read(digits, tmp_path / "l.h5")
    assert (other.patches, other.test_sets) == (None, {})


@pytest.mark.parametrize(("side", "size", "first"), [(32, 7, 12), (28, 7, 10), (8, 3, 2), (8, 8, 0), (9, 4, 2)])
def test_a_patch_lies_in_the_middle(side, size, first):
    images = patching.patched(
        torch.zeros(1, 1, side, side),
        torch.tensor([True]),
        torch.tensor([False]),
        torch.tensor([1.0]),
        torch.ones(1, size, size),
        torch.ones(1, 1, size, size),
        torch.tensor([0]),
    )
    expected = torch.zeros(side, side)
    expected[first : first + size, first : first + size] = 2
    assert torch.equal(images[0, 0], expected)


def test_patches_larger_than_the_images_are_refused(digits, tmp_path):
    with pytest.raises(UserError, match=r"labels\.patch_size: patches of 9 x 9 pixels do not fit into images of 8 x 8"):
        label(rule(patch_size=9), digits, tmp_path / "l.h5")
