"""Random Fourier features against the pseudo-inverse and the Gaussian kernel; forests that can remember everything."""

import numpy as np
import pytest
import torch

from gengap.errors import UserError
from gengap.files import storage
from gengap.simulations import random_features, random_forest, sampled_images
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


def point(simulation, **options):
    return Point.model_validate({"simulation": simulation, **options})


def test_products_of_many_features_are_the_gaussian_kernel():
    torch.manual_seed(1)
    images = torch.rand(5, 4, dtype=torch.float64)
    frequencies = torch.randn(200_000, 4, dtype=torch.float64) / 0.5
    matrix = random_features.features(images, frequencies, len(frequencies))
    expected = torch.exp(-torch.cdist(images, images).square() / (2 * 0.5**2))
    torch.testing.assert_close(matrix @ matrix.mH, expected.to(matrix.dtype), rtol=0, atol=0.01)
    torch.testing.assert_close(random_features.kernel(images, images, 0.5), expected)


def test_risk_peaks_where_features_are_as_many_as_images_and_ends_near_the_kernel():
    sizes = (20, 60, 300, "kernel")
    found = [
        random_features.simulate(
            point("random_features", samples=60, test_samples=200, features=size, label_noise=0.2), (0, 1, 2), CPU, None
        )
        for size in sizes
    ]
    loss, norm = (
        {size: one[name].median() for size, one in zip(sizes, found, strict=True)}
        for name in ("test_loss", "solution_norm")
    )
    assert loss[60] > 10 * max(loss[20], loss[300], loss["kernel"])
    assert norm[60] > 10 * max(norm[20], norm[300], norm["kernel"])
    assert loss[300] < 2 * loss["kernel"]
    trained = {size: one["train_loss"].max() for size, one in zip(sizes, found, strict=True)}
    assert trained[20] > 1e-3 > max(trained[60], trained[300], trained["kernel"])


def test_forests_remember_with_as_many_leaves_as_images_and_average_over_trees():
    made = {"samples": 80, "test_samples": 300}
    few, one, many = (
        random_forest.simulate(point("random_forest", leaves=leaves, trees=trees, **made), (0, 1), CPU, None)
        for leaves, trees in ((4, 1), (80, 1), (80, 8))
    )
    assert (few["train_accuracy"] < 1).all()
    assert one["train_accuracy"].tolist() == many["train_accuracy"].tolist() == [1, 1]
    assert (many["test_loss"] < one["test_loss"]).all()
    again = random_forest.simulate(point("random_forest", leaves=80, trees=8, **made), (1,), CPU, None)
    assert again["test_loss"].item() == many["test_loss"][1].item()


def test_replaced_labels_and_images_do_not_depend_on_what_is_fitted():
    clean, noisy = (
        sampled_images.sample(point("random_features", samples=400, label_noise=noise, features=size), 3, None)
        for noise, size in ((0.0, 5), (0.5, 9))
    )
    assert torch.equal(clean.train, noisy.train)
    assert torch.equal(clean.test_labels, noisy.test_labels)
    # Half of the labels are drawn again, and a tenth of those stay what they were.
    assert (clean.train_labels != noisy.train_labels).double().mean().item() == pytest.approx(0.45, abs=0.08)


def test_squared_loss_and_error_are_those_of_the_losses():
    images = sampled_images.sample(point("random_features", samples=4, test_samples=4), 0, None)
    outputs = torch.nn.functional.one_hot(images.train_labels, 10).double()
    outputs[0] = outputs[0].roll(1)
    found = sampled_images.measured(images, outputs, outputs)
    assert found["train_accuracy"] == 0.75
    assert found["train_loss"] == pytest.approx(2 / 40)


def test_too_few_images_are_told(tmp_path):
    path = tmp_path / "prepared.h5"
    with storage.writing(path, "prepared", {}) as file:
        file.attrs["mean"], file.attrs["std"] = [0.5], [0.25]
        for split in ("train", "test"):
            file[f"{split}_images"] = np.ones((6, 1, 2, 2), np.float32)
            file[f"{split}_labels"] = np.arange(6)
    given = {"dataset": "mnist", "test_samples": 5}
    found = sampled_images.sample(point("random_features", samples=6, **given), 0, path)
    assert found.train.shape == (6, 4)
    assert torch.equal(found.train, torch.full((6, 4), 0.75, dtype=torch.float64))
    with pytest.raises(UserError, match="samples: 'mnist' has 6 train images, and 7 are asked for"):
        sampled_images.sample(point("random_features", samples=7, **given), 0, path)
