"""Tables and arrays as small as HDF5's own filters make them, for files that are sent and kept in git.

A table has the form of `gengap.files.storage.write_table`, but its datasets are compressed, and a column of text
is a number per row and, once, the list of its words. What is read may come from somebody else: sizes, types and numbers
are checked before anything is made of them.
"""

import json
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap.files import arrays, storage
from gengap.files.arrays import Array

MOST_BYTES = 2**31  # of one table or array; a few kilobytes may unpack to terabytes of zeros
_SMALL_BYTES = 4096
_DROPPED_BITS = 6  # of the 23 of a float32's fraction
_PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 9, "shuffle": True}


def write_table(file: h5py.Group, name: str, table: pd.DataFrame) -> None:
    """Write a table as a group of compressed columns."""
    group = file.create_group(name)
    group.attrs["columns"] = json.dumps(list(table.columns))
    group.attrs["rows"] = len(table)
    for column in table.columns:
        values = table[column]
        if pd.api.types.is_numeric_dtype(values):
            _write(group, column, values.to_numpy())
        else:
            codes, words = pd.factorize(values.astype(str))
            _write(group, column, codes.astype(np.int32))
            _write(group, f"{column} words", np.frombuffer(json.dumps(list(words)).encode(), np.uint8))


def read_table(file: h5py.Group, name: str) -> pd.DataFrame:
    """Read back what `write_table` wrote.

    Raises:
        ValueError: If the group is no such table; KeyError, TypeError if something is missing or of another type.
    """
    group = file[name]
    columns, rows = json.loads(group.attrs["columns"]), int(group.attrs["rows"])
    _check_size(sum(group[column].size * group[column].dtype.itemsize for column in columns))
    found: dict[str, Any] = {}
    for column in columns:
        values = _read(group, column)
        if values.shape != (rows,):
            raise ValueError(f"table '{name}': column '{column}' has the shape {values.shape}, not {rows} rows")
        if f"{column} words" in group:
            words = json.loads(_read(group, f"{column} words").tobytes())
            if not all(isinstance(word, str) for word in words):
                raise ValueError(f"table '{name}': column '{column}' is no text")
            if rows and not 0 <= values.min() <= values.max() < len(words):
                raise ValueError(f"table '{name}': column '{column}' counts beyond its {len(words)} words")
            values = np.array(words, object)[values] if rows else np.array([], object)
        found[column] = values
    return pd.DataFrame(found, columns=columns)


def write_arrays(file: h5py.Group, found: list[tuple[str, Array]]) -> None:
    """Write measured arrays, each with a label of its own: five digits, since those after them do not compress."""
    parent = file.create_group("arrays")
    for label, array in found:
        one = parent.create_group(f"{len(parent):05d}")
        one.attrs.update(label=label, **arrays.attributes(array))
        write_table(one, "rows", array.rows)
        _write(one, "values", _five_digits(array.values))


def read_arrays(file: h5py.Group) -> Iterator[tuple[str, Array]]:
    """Read back what `write_arrays` wrote, one at a time; numbers in float32 as float64."""
    for one in file["arrays"].values():
        rows, values = read_table(one, "rows"), _read(one, "values")
        values = values.astype(np.float64) if values.dtype == np.float32 else values
        if len(rows) != len(values):
            raise ValueError(f"an array of {one.attrs['quantity']} has {len(values)} rows for {len(rows)} checkpoints")
        yield str(one.attrs["label"]), arrays.from_attributes(one.attrs, rows, values)


def _five_digits(values: NDArray[Any]) -> NDArray[Any]:
    """The values in float32 with 17 bits of their fractions, an error of 4e-6 at most.

    Unchanged if they are no float64, or if one is too large or too small for it.
    """
    if values.dtype != np.float64:
        return values
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        half = np.uint32(1 << (_DROPPED_BITS - 1))
        bits = (single.view(np.uint32) + half) >> _DROPPED_BITS << _DROPPED_BITS
        rounded = np.where(np.isfinite(single), bits.view(np.float32), single)
    return rounded if np.allclose(rounded, values, rtol=2.0**-17, atol=0, equal_nan=True) else values


def _write(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    # Compressed, a dataset takes two kilobytes for the places of its chunks, more for many, and it is read as a whole.
    packed = {"chunks": values.shape, **_PACKED} if values.nbytes > _SMALL_BYTES else {}
    group.create_dataset(name, data=values, **packed)


def _read(group: h5py.Group, name: str) -> NDArray[Any]:
    data = group[name]
    if data.dtype.kind not in "biuf":
        raise ValueError(f"'{name}' holds no numbers")
    _check_size(data.size * data.dtype.itemsize)
    return storage.read_array(group, name)


def _check_size(n_bytes: int) -> None:
    if n_bytes > MOST_BYTES:
        raise ValueError(f"it unpacks to {n_bytes:,} bytes, more than the {MOST_BYTES:,} that are read")
