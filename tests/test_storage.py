"""Files are whole or absent, say what they are, and come back as they were."""

import numpy as np
import pandas as pd
import pytest
from stored import edited

from gengap.errors import UserError
from gengap.files import storage

TABLE = pd.DataFrame(
    {
        "cell": ["width=4,seed=0", "größer", ""],
        "epoch": [0.0, 0.5, np.nan],
        "count": np.array([1, 2, 3], dtype=np.int64),
        "whole": [True, False, True],
    }
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file.h5"


def write(path, kind="probe"):
    with storage.writing(path, kind, {"settings": {"a": 1}}) as file:
        storage.write_table(file, "table", TABLE, {"epoch": "epochs"})
        storage.write_array(file, "array", np.arange(6.0).reshape(2, 3), unit="1")


def test_tables_and_arrays_come_back(path):
    write(path)
    with storage.reading(path, "probe") as file:
        pd.testing.assert_frame_equal(storage.read_table(file, "table"), TABLE, check_dtype=False)
        assert storage.read_table(file, "table")["count"].dtype == np.int64
        assert file["table"]["epoch"].attrs["unit"] == "epochs"
        np.testing.assert_array_equal(file["array"][()], np.arange(6.0).reshape(2, 3))
        assert storage.provenance_of(file) == {"settings": {"a": 1}}


def test_an_empty_table_keeps_its_columns(path):
    with storage.writing(path, "probe", {}) as file:
        storage.write_table(file, "table", TABLE.iloc[:0])
    with storage.reading(path, "probe") as file:
        assert list(storage.read_table(file, "table")) == list(TABLE)


def write_half(path):
    with storage.writing(path, "probe", {}) as file:
        storage.write_table(file, "table", TABLE)
        raise RuntimeError("in the middle")


def test_a_failure_while_writing_leaves_the_old_file(path):
    write(path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        write_half(path)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_failure_while_writing_leaves_no_new_file(path):
    with pytest.raises(RuntimeError):
        write_half(path)
    assert list(path.parent.iterdir()) == []


def test_a_new_file_has_the_permissions_of_any_other(path):
    storage.write_text(path, "x")
    other = path.with_name("other")
    other.write_text("x")
    assert path.stat().st_mode == other.stat().st_mode


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def attribute(**attributes):
    def change(path):
        with edited(path) as file:
            file.attrs.update(attributes)

    return change


def strip(path):
    with edited(path) as file:
        del file.attrs["format"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (cut, "is damaged"),
        (lambda path: path.write_text("text"), "is damaged or no HDF5 file"),
        (attribute(format=99), "has format 99, this version of gengap reads format"),
        (attribute(kind="weights"), "holds weights, expected probe"),
        (strip, "was not written by gengap"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(path, change, words):
    write(path)
    change(path)
    with pytest.raises(UserError, match=words) as caught, storage.reading(path, "probe"):
        pass
    assert str(path) in str(caught.value)


def test_a_part_that_is_missing_is_named(path):
    write(path)
    with pytest.raises(UserError, match=r"file\.h5: lacks a part"), storage.reading(path, "probe") as file:
        storage.read_table(file, "failures")


def test_a_file_in_the_way_of_a_folder_is_named(path):
    path.parent.write_text("not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        write(path)
