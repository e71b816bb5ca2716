"""A disk that fills up while writing: one message, the old file as it was, and no half file."""

import subprocess

import numpy as np
import pytest

from gengap.errors import UserError
from gengap.files import storage


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield tmp_path
    # Lazily: HDF5 keeps a file open that it could not finish.
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def one_large(file):
    file["x"] = np.ones(200_000)


def many_small(file):
    for number in range(20_000):
        file[f"{number}/x"] = np.ones(5)


@pytest.mark.parametrize("fill", [one_large, many_small])
def test_the_old_file_stays_and_no_half_one(small_disk, fill):
    path = small_disk / "weights.h5"
    with storage.writing(path, "weights", {}) as file:
        file["x"] = np.zeros(10)
    before = path.read_bytes()
    with (
        pytest.raises(UserError, match=r"weights\.h5: could not be written \(the disk is full\)"),
        storage.writing(path, "weights", {}) as file,
    ):
        fill(file)
    assert path.read_bytes() == before
    assert [entry.name for entry in small_disk.iterdir()] == ["weights.h5"]
