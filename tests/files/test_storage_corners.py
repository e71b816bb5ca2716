"""What seldom happens to a file: content that HDF5 cannot read though its digest is right, and asking twice."""

import h5py
import numpy as np
import pytest
import torch

from gengap import layout
from gengap.errors import UnreadableError
from gengap.files import file_digest, hdf5, hdf5_output, storage
from gengap.files.cell_locks import locked
from gengap.files.hdf5 import DamagedError
from gengap.studies.settings import Cell
from gengap.training import cell_store
from gengap.training.cell_result import CellResult


def redigested(path, content):
    path.write_bytes(content)
    file_digest.write(path)


def test_what_is_no_hdf5_file_in_spite_of_its_digest(tmp_path):
    redigested(tmp_path / "a.h5", bytes(5000))
    with pytest.raises(DamagedError, match="HDF5 cannot read it"):
        hdf5.read(tmp_path / "a.h5")


def test_a_tree_of_names_that_hdf5_cannot_read(tmp_path):
    path = tmp_path / "a.h5"
    with storage.writing(path, "probe", {}) as file:
        file["group/x"] = 1
    assert b"SNOD" in path.read_bytes()
    redigested(path, path.read_bytes().replace(b"SNOD", b"NONE"))
    with pytest.raises(DamagedError, match="HDF5 cannot read it"):
        hdf5.read(path)


def test_numbers_that_hdf5_cannot_read_in_a_file_without_digest(tmp_path):
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(kind="probe", format=1, provenance="{}")
        data = file.create_dataset("x", data=np.arange(1000), chunks=(1000,), compression="gzip")
        place = data.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place : place + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="HDF5 cannot read it"), storage.reading(path, "probe") as file:
        file["x"][()]


def test_an_error_of_the_system_inside_a_text_of_hdf5(tmp_path):
    with pytest.raises(UnreadableError, match="Input/output error"):
        hdf5.check_readable(tmp_path / "a.h5", OSError("Can't read data (file read failed: errno = 5, error ...)"))


def test_a_file_for_hdf5_is_closed_once(tmp_path):
    (tmp_path / "a.h5").touch()
    with hdf5_output._Output(tmp_path / "a.h5") as output:
        output.close()
    assert output.closed
    assert output.failure is None


def test_names_of_datasets_below_groups(tmp_path):
    with storage.writing(tmp_path / "a.h5", "probe", {}) as file:
        file["x"], file["group/inner/y"] = 1, 2
        file.create_group("empty")
    with storage.reading(tmp_path / "a.h5", "probe") as file:
        assert storage.dataset_names(file) == ["group/inner/y", "x"]


def test_a_job_locks_no_more_than_it_asks_for(tmp_path):
    with locked(tmp_path / "locks", ["a", "b", "c"], at_most=2) as mine:
        assert mine == ["a", "b"]


def test_a_stored_cell_is_kept_as_it_is_and_whole(tmp_path):
    result = CellResult("seed=0", Cell(), "0" * 64, 6, {0.0: {"w": torch.arange(6.0)}}, [(0.0, "train_loss", 1.5)])
    cell_store.put(tmp_path, result)
    entry = layout.stored_cell(tmp_path, result.identity)
    before = entry.stat().st_ino
    cell_store.put(tmp_path, result)
    assert entry.stat().st_ino == before
    assert cell_store.is_whole(entry)
    entry.write_bytes(entry.read_bytes()[:-1])
    assert not cell_store.is_whole(entry)
