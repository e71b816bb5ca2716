import json

import numpy as np
import pytest
import torch
from stored import edited

from gengap.errors import UserError
from gengap.files import storage
from gengap.labels import digest, label, read
from gengap.labels.pool import read_pool
from gengap.studies.settings import Labels

ORIGINAL = Labels(name="original")


def test_everything_in_stored_order(digits, tmp_path):
    label(ORIGINAL, digits, tmp_path / "l.h5")
    data, pool = read(digits, tmp_path / "l.h5"), read_pool(digits)
    assert torch.equal(torch.cat([data.train_images, data.test_images]), pool.images)
    assert np.array_equal(torch.cat([data.train_labels, data.test_labels]).numpy(), pool.labels)
    assert (len(data.train_labels), data.n_classes) == (1442, 10)
    assert data.train_labels.dtype == torch.int64
    assert data.train_images.dtype == torch.float32


def test_fewer_images_are_a_mixed_and_nested_selection(digits, tmp_path):
    chosen = {}
    for size in (100, 200):
        label(Labels(name="original", train_size=size, test_size=50), digits, tmp_path / "l.h5")
        with storage.reading(tmp_path / "l.h5", "labelled") as file:
            chosen[size] = file["train_indices"][()]
            test, labels = file["test_indices"][()], file["train_labels"][()]
    assert len(set(chosen[200])) == 200
    assert set(chosen[100]) < set(chosen[200])
    assert chosen[200].max() < 1442 <= test.min()
    assert len(set(test)) == 50
    assert set(labels) == set(range(10))


def test_class_balance(digits, tmp_path):
    label(ORIGINAL, digits, tmp_path / "l.h5")
    with storage.reading(tmp_path / "l.h5", "labelled") as file:
        balance = json.loads(file.attrs["class_balance"])
        labels = file["train_labels"][()]
    assert balance["train"] == {str(k): (labels == k).mean() for k in range(10)}
    assert sum(balance["test"].values()) == pytest.approx(1)


def test_too_many_are_refused(digits, tmp_path):
    with pytest.raises(UserError, match=r"labels\.test_size: 356 images are asked for.*has 355\. Choose from 1 to 355"):
        label(Labels(name="original", test_size=356), digits, tmp_path / "l.h5")


def test_gaussian_images_have_no_labels_of_their_own(gaussian, tmp_path):
    with pytest.raises(UserError, match=r"came without labels\. Set labels\.name to teacher"):
        label(ORIGINAL, gaussian, tmp_path / "l.h5")


def test_files_that_do_not_belong_together(digits, gaussian, tmp_path):
    label(ORIGINAL, digits, tmp_path / "l.h5")
    with pytest.raises(UserError, match="was made for other images"):
        read(gaussian, tmp_path / "l.h5")


def test_a_truncated_file_is_named(digits, tmp_path):
    label(ORIGINAL, digits, tmp_path / "l.h5")
    content = (tmp_path / "l.h5").read_bytes()
    (tmp_path / "l.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"l\.h5: is damaged"):
        read(digits, tmp_path / "l.h5")


def test_labels_that_were_changed_are_noticed(digits, tmp_path):
    label(ORIGINAL, digits, tmp_path / "l.h5")
    with edited(tmp_path / "l.h5") as file:
        file["train_labels"][0] = 9 - file["train_labels"][0]
    with pytest.raises(UserError, match="was made for other images"):
        read(digits, tmp_path / "l.h5")


def test_digest_knows_type_shape_and_content():
    array = np.arange(6, dtype=np.int64)
    others = [array.reshape(2, 3), array.astype(np.float64), array[::-1]]
    assert len({digest(array), *(digest(other) for other in others)}) == 4
    assert digest(array[::2]) == digest(array[::2].copy())
