import json
from pathlib import Path

import numpy as np
import pytest

from gengap.datasets import Raw, digits, preparing
from gengap.datasets.preparing import area_average, prepare
from gengap.errors import UserError
from gengap.files import storage
from gengap.studies.settings import Dataset


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 3, 12, 12), dtype=np.uint8)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 12])
def test_area_average_by_an_integer_factor_is_the_mean_of_blocks(images, size):
    blocks = images.reshape(5, 3, size, 12 // size, size, 12 // size).mean((3, 5))
    assert area_average(images, size) == pytest.approx(blocks, abs=1e-11)


@pytest.mark.parametrize("size", [5, 7, 8, 11])
def test_area_average_by_any_factor(images, size):
    """Repeating every pixel `size` times makes the factor an integer and changes no area."""
    repeated = images.repeat(size, axis=2).repeat(size, axis=3)
    blocks = repeated.reshape(5, 3, size, 12, size, 12).mean((3, 5))
    assert area_average(images, size) == pytest.approx(blocks, abs=1e-11)


def read(path: Path) -> tuple[dict, dict]:
    with storage.reading(path, "prepared") as file:
        return {name: file[name][()] for name in file}, dict(file.attrs)


@pytest.mark.parametrize("standardize", ["train", "pool", "none"])
def test_standardisation_and_its_statistics(tmp_path, standardize, monkeypatch):
    monkeypatch.setattr(preparing, "CHUNK_BYTES", 100 * 8 * 64)  # several chunks
    prepare(Dataset(name="digits", standardize=standardize, image_size=4), tmp_path, tmp_path / "digits.h5")
    data, attrs = read(tmp_path / "digits.h5")
    raw = digits.read(Dataset(name="digits"), tmp_path)
    plain = {split: area_average(getattr(raw, f"{split}_images"), 4) / 16 for split in ("train", "test")}
    chosen = np.concatenate([plain["train"], plain["test"]]) if standardize == "pool" else plain["train"]
    mean, std = ([0.0], [1.0]) if standardize == "none" else ([chosen.mean()], [chosen.std()])
    assert attrs["mean"] == pytest.approx(mean, abs=1e-12)
    assert attrs["std"] == pytest.approx(std, abs=1e-12)
    assert data["train_images"].dtype == np.float32
    for split in ("train", "test"):
        assert data[f"{split}_images"] == pytest.approx((plain[split] - mean[0]) / std[0], abs=1e-6)
        assert np.array_equal(data[f"{split}_labels"], getattr(raw, f"{split}_labels"))
    assert json.loads(attrs["classes"]) == list("0123456789")
    assert attrs["standardize"] == standardize
    assert json.loads(attrs["provenance"])["settings"]["dataset"]["image_size"] == 4


def test_digits_split():
    raw = digits.read(Dataset(name="digits"), Path("unused"))
    assert len(raw.train_images) + len(raw.test_images) == 1797
    totals = np.bincount(raw.train_labels) + np.bincount(raw.test_labels)
    assert np.array_equal(np.bincount(raw.test_labels), totals // 5)
    assert raw.train_images.max() == 16


def test_gaussian_images_are_stored_as_drawn(tmp_path):
    settings = Dataset(name="gaussian", image_size=5, n_train=20, n_test=10, std=3.0)
    prepare(settings, tmp_path, tmp_path / "gaussian.h5")
    data, attrs = read(tmp_path / "gaussian.h5")
    assert data["train_images"].shape == (20, 3, 5, 5)
    assert attrs["standardize"] == "none"
    assert data["train_images"].std() == pytest.approx(3.0, rel=0.1)


def test_a_stream_is_marked(tmp_path):
    prepare(
        Dataset.model_validate({"name": "gaussian", "n_test": 10, "stream": True, "stored": 20}),
        tmp_path,
        tmp_path / "gaussian.h5",
    )
    data, attrs = read(tmp_path / "gaussian.h5")
    assert data["train_images"].shape == (20, 3, 8, 8)  # for evaluation; training draws its own
    assert attrs["stream"]


def test_enlarging_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"dataset.image_size: 9 is larger.*'digits'.*Choose from 1 to 8"):
        prepare(Dataset(name="digits", image_size=9), tmp_path, tmp_path / "digits.h5")
    assert not list(tmp_path.iterdir())


def test_a_constant_channel_cannot_be_standardised(tmp_path, monkeypatch):
    flat = np.full((4, 1, 8, 8), 7, dtype=np.uint8)
    labels = np.zeros(4, dtype=np.int64)
    monkeypatch.setattr(digits, "read", lambda settings, root: Raw(flat, labels, flat, labels, ("0",)))
    with pytest.raises(UserError, match=r"channel 0 of 'digits' has the same value.*standardize to none"):
        prepare(Dataset(name="digits"), tmp_path, tmp_path / "digits.h5")


def test_raw_refuses_what_does_not_fit():
    images, labels = np.zeros((3, 1, 2, 2), dtype=np.uint8), np.array([0, 1, 2])
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1, got up to 2"):
        Raw(images, labels, images, labels, ("a", "b"))
    with pytest.raises(ValueError, match=r"3 train images have labels of shape \(2,\)"):
        Raw(images, labels[:2], images, labels, ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"\[N, C, H, W\], got \(3, 2, 2\)"):
        Raw(images[:, 0], labels, images, labels, ("a", "b", "c"))
