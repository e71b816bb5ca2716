from pathlib import Path

import numpy as np

from gengap.datasets import gaussian
from gengap.studies.settings import Dataset

SETTINGS = Dataset(name="gaussian", image_size=6, channels=2, n_train=2000, n_test=500, std=2.0, data_seed=3)
STREAM = Dataset.model_validate({**SETTINGS.model_dump(), "stream": True, "stored": 300})


def test_stored_images_have_the_distribution_asked_for():
    raw = gaussian.read(SETTINGS, Path("unused"))
    pixels = raw.train_images.ravel().astype(np.float64)
    assert raw.train_images.shape == (2000, 2, 6, 6)
    assert raw.train_images.dtype == np.float32
    # Standard errors: std / sqrt(n) of the mean, std / sqrt(2 n) of the standard deviation.
    assert abs(pixels.mean()) < 5 * 2 / np.sqrt(pixels.size)
    assert abs(pixels.std() - 2) < 5 * 2 / np.sqrt(2 * pixels.size)
    assert not raw.train_labels.any()


def test_images_depend_on_the_seed_alone_and_splits_differ():
    again = gaussian.read(SETTINGS, Path("elsewhere"))
    other = gaussian.read(SETTINGS.model_copy(update={"data_seed": 4}), Path("unused"))
    first = gaussian.read(SETTINGS, Path("unused"))
    assert np.array_equal(first.train_images, again.train_images)
    assert not np.array_equal(first.train_images, other.train_images)
    assert not np.array_equal(first.train_images[:500], first.test_images)


def test_a_stream_stores_images_to_measure_on_and_the_same_test_images():
    streamed, stored = (gaussian.read(settings, Path("unused")) for settings in (STREAM, SETTINGS))
    assert streamed.train_images.shape == (300, 2, 6, 6)
    assert np.array_equal(streamed.test_images, stored.test_images)
