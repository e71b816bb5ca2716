"""Reading and writing HDF5: atomically, self-describing, never pickled.

Every file carries its kind, the format version and its provenance as attributes, and its digest before its content. A
table is a group with one one-dimensional dataset per column; strings are UTF-8.
"""

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from h5py import h5d, h5o, h5s

from gengap.errors import UserError
from gengap.files import file_digest, hdf5, hdf5_output

FORMAT = 1  # raised when files of an older version can no longer be read


@contextmanager
def writing(
    path: str | Path, kind: str, provenance: Mapping[str, Any], *, sync: bool = True, libver: str | None = None
) -> Iterator[h5py.File]:
    """Open a new file beside `path`; it takes the name only when all was written.

    Args:
        path: The final name; folders are made.
        kind: What the file holds, e.g. ``"weights"``; `reading` checks it.
        provenance: Plain values, stored as the JSON attribute ``provenance``.
        sync: See `beside`.
        libver: See `hdf5_output.opened`.

    Raises:
        UserError: If the folder cannot be written, or the disk is full.
    """
    with beside(path, sync=sync) as temporary:
        with hdf5_output.opened(temporary, libver) as file:
            file.attrs["kind"] = kind
            file.attrs["format"] = FORMAT
            file.attrs["provenance"] = json.dumps(provenance, sort_keys=True, default=str)
            yield file
        file_digest.write(temporary)


@contextmanager
def beside(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary name in the folder of `path`, renamed to `path` at the end and removed on failure.

    Args:
        path: The final name.
        sync: Wait until the disk has it, and the folder its name, so that a loss of power leaves the old file or the
            new one. Without, it may leave a damaged one.

    Raises:
        UserError: If the folder or the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{path}: cannot be written: {path.parent} is no folder. Name another place.") from error
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}). Make the folder writable, or free some space."
        ) from error
    os.close(handle)
    temporary = Path(name)
    umask = os.umask(0)
    os.umask(umask)
    try:
        yield temporary
        if sync:
            _sync(temporary)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # `gengap clean` removes what is left
            temporary.unlink()
        if isinstance(error, OSError):
            raise UserError(
                f"{path}: could not be written ({_reason(error)}). What was there before is untouched."
            ) from error
        raise
    if sync:
        try:
            # The folders of a project too: whoever made them, a log file perhaps, did not wait for the disk.
            for folder in path.parents if not path.is_absolute() else [path.parent]:
                _sync(folder)
        except OSError as error:
            raise UserError(
                f"{path}: was written, but the disk did not confirm it ({_reason(error)}). Run the same again."
            ) from error


def _sync(path: Path) -> None:
    """Wait until the disk has a file's content, or the names in a folder, on file systems that sync folders."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    """Why a write failed, in a few words."""
    return "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[h5py.File]:
    """Open a file that `writing` wrote, after checking that it is what was written, of this kind and of this format.

    Raises:
        UserError: If it is missing, damaged, of another kind, or from another version of gengap.
        UnreadableError: If the system could not read it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: does not exist. Run the study that makes it.")
    with hdf5.read(path) as file:
        try:
            _check_kind(file, path, kind)
            yield file
        except (KeyError, OSError, RuntimeError) as error:  # what h5py makes of an error while reading
            hdf5.check_readable(path, error)
            if isinstance(error, KeyError):
                raise UserError(f"{path}: lacks a part of what '{kind}' files hold ({error.args[0]}).") from error
            if "synchronously" in str(error):  # HDF5's, of a file without a digest
                raise hdf5.damaged(path, "HDF5 cannot read it") from error
            raise


def _check_kind(file: h5py.File, path: Path, kind: str) -> None:
    """Refuse a file of another kind or format."""
    found, version = file.attrs.get("kind"), file.attrs.get("format")
    if found is None or version is None:
        raise UserError(f"{path}: was not written by gengap. Remove it, and run the study again.")
    if int(version) != FORMAT:
        raise UserError(
            f"{path}: has format {version}, this version of gengap reads format {FORMAT}. "
            "Move the folder away, or use the version that wrote it."
        )
    if found != kind:
        raise UserError(f"{path}: holds {found}, expected {kind}.")


def provenance_of(file: h5py.File) -> dict[str, Any]:
    """The provenance that `writing` stored."""
    return dict(json.loads(file.attrs["provenance"]))


def write_table(file: h5py.Group, name: str, table: pd.DataFrame, units: Mapping[str, str] | None = None) -> None:
    """Write a table as a group; `units` goes to the columns' attributes."""
    group = file.create_group(name)
    group.attrs["columns"] = json.dumps(list(table.columns))
    for column in table.columns:
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            data = group.create_dataset(column, data=values.to_numpy())
        else:
            text = values.astype(object).where(values.notna(), "").astype(str).to_numpy(dtype=object)
            data = group.create_dataset(column, data=text, dtype=h5py.string_dtype())
        data.attrs["unit"] = (units or {}).get(column, "")


def read_table(file: h5py.Group, name: str) -> pd.DataFrame:
    """Read back what `write_table` wrote."""
    group = file[name]
    columns = {}
    for column in json.loads(group.attrs["columns"]):
        values = read_array(group, column)
        columns[column] = np.array([text.decode() for text in values], object) if values.dtype == object else values
    return pd.DataFrame(columns)


def read_array(group: h5py.Group, name: str) -> np.ndarray:
    """One dataset, whole; by HDF5's functions themselves, since h5py's objects take longer than small arrays do."""
    data = h5d.open(group.id, name.encode())
    values = np.empty(data.shape, data.dtype)
    if values.size:
        data.read(h5s.ALL, h5s.ALL, values)
    return values


def read_arrays(group: h5py.Group) -> dict[str, np.ndarray]:
    """All datasets below a group, by their paths from it."""
    return {name: read_array(group, name) for name in dataset_names(group)}


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read a table that `write_text` wrote.

    Raises:
        UnreadableError: If the system could not read it.
    """
    try:
        return pd.read_csv(path)
    except OSError as error:
        hdf5.check_readable(Path(path), error)
        raise  # pragma: no cover - an error of Python's has the system's number


def dataset_names(group: h5py.Group) -> list[str]:
    """Names of all datasets below a group, as paths from it."""
    names: list[str] = []

    def keep(name: bytes, info: h5o.ObjInfo) -> None:
        if info.type == h5o.TYPE_DATASET:
            names.append(name.decode())

    h5o.visit(group.id, keep, info=True)
    return names


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, beside and renamed."""
    with beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file of any kind, beside and renamed."""
    with beside(path) as temporary:
        temporary.write_bytes(content)


def write_array(group: h5py.Group, name: str, array: np.ndarray, **attributes: Any) -> None:
    """Write one array, with attributes such as its unit."""
    data = group.create_dataset(name, data=array)
    data.attrs.update(attributes)
