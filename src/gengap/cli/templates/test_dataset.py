"""The dataset NAME: its sizes, and what its images show."""

from pathlib import Path

from gengap.cli.templates.dataset import PART, read
from gengap.studies.settings import Dataset


def test_sizes_are_those_of_the_header_and_labels_those_of_the_images():
    raw = read(Dataset(name="gaussian"), Path("unused"))
    n_train, n_test, channels, size, n_classes = PART["images"]
    assert raw.train_images.shape == (n_train, channels, size, size)
    assert raw.test_images.shape == (n_test, channels, size, size)
    assert len(raw.classes) == n_classes
    assert (raw.train_images.mean(axis=(1, 2, 3)) == 255 * raw.train_labels).all()
