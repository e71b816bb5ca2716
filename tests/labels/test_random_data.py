"""Rules that draw labels or images: random labels, noise and permuted pixels, fixed by seed and image."""

import h5py
import numpy as np
import pytest
import torch
import yaml

from gengap.errors import UserError
from gengap.files import storage
from gengap.labels import label, permuted_pixels, read
from gengap.labels.pool import read_pool
from gengap.studies.settings import Labels
from gengap.studies.study import load_study

N_TRAIN = 1442  # digits


def rule(name, **options):
    return Labels.model_validate({"name": name, **options})


@pytest.fixture
def labelled(digits, tmp_path):
    """The labelled digits of a rule, read back."""

    def made(name, **options):
        label(rule(name, **options), digits, tmp_path / "l.h5")
        return read(digits, tmp_path / "l.h5")

    return made


@pytest.fixture
def pool(digits):
    return read_pool(digits)


def test_random_labels_ignore_the_images_and_leave_the_test_labels(labelled, pool):
    data = labelled("random_labels")
    own = torch.from_numpy(pool.labels)
    assert torch.equal(data.train_images, pool.images[:N_TRAIN])
    # Binomial: 144 of 1442 equal the image's own by chance, standard deviation 11; so have the ten classes.
    assert abs(int((data.train_labels == own[:N_TRAIN]).sum()) - 144) < 46
    assert (abs(data.train_labels.bincount() - 144) < 46).all()
    assert torch.equal(data.test_labels, own[N_TRAIN:])
    assert data.n_classes == 10


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_a_share_of_label_noise(labelled, pool, share):
    own = torch.from_numpy(pool.labels)
    wrong = {
        kind: (labelled("random_labels", random_share=share, drawn_from=kind).train_labels != own[:N_TRAIN])
        for kind in ("all", "others")
    }
    for kind, expected in (("all", 0.9 * share), ("others", share)):
        assert abs(wrong[kind].double().mean() - expected) < 4 * (expected * (1 - expected) / N_TRAIN) ** 0.5
    assert (wrong["all"] <= wrong["others"]).all()  # the same images are drawn


def test_no_share_is_the_original(labelled):
    assert labelled("random_labels", random_share=0.0).digest == labelled("original").digest
    assert labelled("noise_images", random_share=0.0).digest == labelled("original").digest


def test_less_noise_is_part_of_more_and_another_seed_is_other_noise(labelled, pool):
    own = torch.from_numpy(pool.labels[:N_TRAIN])
    little, much, other = (
        labelled("random_labels", random_share=share, rule_seed=seed).train_labels
        for share, seed in ((0.2, 0), (0.5, 0), (0.2, 1))
    )
    assert torch.equal(much[little != own], little[little != own])
    assert not torch.equal(other != own, little != own)


def test_noisy_test_labels(labelled, pool):
    own = torch.from_numpy(pool.labels)
    data = labelled("random_labels", random_share=0.5, test_labels="noisy")
    assert abs((data.test_labels != own[N_TRAIN:]).double().mean() - 0.45) < 0.11
    assert torch.equal(data.train_labels, labelled("random_labels", random_share=0.5).train_labels)


def test_noise_has_the_mean_and_variance_of_each_pixel(labelled, pool):
    data = labelled("noise_images")
    var, mean = torch.var_mean(pool.images[:N_TRAIN].double(), dim=0)
    noise_var, noise_mean = torch.var_mean(data.train_images.double(), dim=0)
    standard_error = (var / N_TRAIN).sqrt()
    assert ((noise_mean - mean).abs() <= 5 * standard_error + 1e-6).all()
    assert ((noise_var / var.clamp(min=1e-12) - 1).abs()[var > 0] < 5 * (2 / N_TRAIN) ** 0.5).all()
    normal = ((data.train_images.double() - mean) / var.sqrt())[:, var > 0]
    assert abs(normal.square().square().mean() - 3) < 0.1  # the kurtosis of a normal distribution
    neighbours = (normal[:, 1:] * normal[:, :-1]).mean(dim=0)
    assert (neighbours.abs() < 5 / N_TRAIN**0.5).all()
    assert np.array_equal(data.train_labels.numpy(), pool.labels[:N_TRAIN])


def test_a_share_of_noise_images(labelled, pool):
    little, much = (labelled("noise_images", random_share=share).train_images for share in (0.3, 0.7))
    own = pool.images[:N_TRAIN]
    was = [(images != own).flatten(1).any(dim=1) for images in (little, much)]
    assert abs(was[0].double().mean() - 0.3) < 0.05
    assert (was[0] <= was[1]).all()
    assert torch.equal(little[was[0]], much[was[0]])


def test_one_permutation_moves_every_pixel_of_all_images_alike(labelled, pool):
    images = labelled("permuted_pixels").train_images
    own = pool.images[:N_TRAIN].flatten(1)
    places = [int((images.flatten(1)[:, [place]] == own).all(dim=0).nonzero()[0]) for place in (10, 11, 12)]
    assert places != [10, 11, 12]
    assert torch.equal(images.flatten(1).sort(dim=1).values, own.sort(dim=1).values)
    assert labelled("permuted_pixels").digest != labelled("permuted_pixels", rule_seed=1).digest


def test_channels_move_together(gaussian):
    pool = read_pool(gaussian)
    for kind in ("one", "each"):
        moved = permuted_pixels.change(rule("permuted_pixels", permutation=kind), pool.images, np.arange(1500), {})
        for image in (0, 7):
            columns = {tuple(pixel) for pixel in pool.images[image].flatten(1).T.tolist()}
            assert {tuple(pixel) for pixel in moved[image].flatten(1).T.tolist()} == columns


def test_a_permutation_of_its_own_for_every_image(labelled, pool):
    images = labelled("permuted_pixels", permutation="each").train_images.flatten(1)
    own = pool.images[:N_TRAIN].flatten(1)
    assert torch.equal(images.sort(dim=1).values, own.sort(dim=1).values)
    # No pixel of one image says where that of another went: every place has the mean over all pixels.
    means, scatter = images.mean(dim=0), images.std() / N_TRAIN**0.5
    assert ((means - images.mean()).abs() < 5 * scatter).all()


@pytest.mark.parametrize("name", ["random_labels", "noise_images", "permuted_pixels"])
@pytest.mark.parametrize("options", [{}, {"rule_seed": 3}])
def test_data_depend_on_the_image_and_not_on_the_selection(labelled, pool, digits, tmp_path, name, options):
    if name == "permuted_pixels":
        options = {**options, "permutation": "each"}
    whole = labelled(name, **options)
    part = labelled(name, train_size=200, test_size=30, **options)
    with storage.reading(tmp_path / "l.h5", "labelled") as file:
        train, test = file["train_indices"][()], file["test_indices"][()]
    assert torch.equal(part.train_images, whole.train_images[train])
    assert torch.equal(part.train_labels, whole.train_labels[train])
    assert torch.equal(part.test_images, whole.test_images[test - N_TRAIN])
    assert read(digits, tmp_path / "l.h5").digest == part.digest


def test_changed_constants_are_noticed(digits, tmp_path):
    label(rule("noise_images"), digits, tmp_path / "l.h5")
    with h5py.File(tmp_path / "l.h5", "r+") as file:
        file["rule/std"][0, 3, 3] += 1
    with pytest.raises(UserError, match="content is not what was written"):
        read(digits, tmp_path / "l.h5")


@pytest.mark.parametrize("name", ["random_labels", "noise_images", "permuted_pixels"])
def test_images_without_labels_are_refused(gaussian, tmp_path, name):
    with pytest.raises(UserError, match=rf"labels\.name: '{name}': the images in .* came without labels"):
        label(rule(name), gaussian, tmp_path / "l.h5")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("random_labels", {"random_share": 1.5}, "from 0 to 1"),
        ("random_labels", {"drawn_from": "none"}, "'all' or 'others'"),
        ("noise_images", {"random_share": -0.1}, "from 0 to 1"),
        ("permuted_pixels", {"permutation": "two"}, "'one' or 'each'"),
        ("original", {"rule_seed": -1}, "rule_seed"),
    ],
)
def test_wrong_options(tmp_path, name, options, said):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"title": "t", "base": {"labels": {"name": name, **options}}}))
    with pytest.raises(UserError, match=said):
        load_study(path)
