"""The file of an export: what training and probes recorded of a study, or draws of a simulation, without weights.

Everything in it is known by an identity, so that another machine can tell whether it is what a study asks for. It may
come from somebody else, so whatever is wrong with it is one sentence.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from gengap.errors import UnreadableError, UserError
from gengap.files import compact, file_digest, storage
from gengap.files.arrays import Array
from gengap.quantities import QUANTITIES

KIND = "export"
# The tables by name, with their columns. Text is JSON where a value has parts.
TABLES: dict[str, dict[str, str]] = {
    # Labelled data: the version of the code that made them, digests of images and labels and of a teacher's outputs.
    "data": {"data": "text", "version": "number", "digest": "text", "teacher": "text", "facts": "text"},
    # Cells: settings and identity, which data, the epochs at which weights were saved, and by which origin.
    "cells": {
        **dict.fromkeys(("cell", "settings", "identity", "data", "status", "stopped_by", "epochs"), "text"),
        **dict.fromkeys(("epochs_trained", "n_parameters", "origin"), "number"),
    },
    "history": {"cell": "text", "epoch": "number", "quantity": "text", "value": "number", "batchnorm": "text"},
    # Probes by the name of their files, with the method of `gengap.studies.identity`; what each has measured.
    "probes": {"probe": "text", "method": "text", "settings": "text"},
    "checkpoints": {"probe": "text", "cell": "text", "epoch": "number"},
    # Points of a simulation.
    "points": {"point": "text", "settings": "text", "identity": "text", "origin": "number"},
    # `key` is the probe's file or the point; `probe` the probe's or the simulation's name.
    "measurements": {
        **dict.fromkeys(("key", "cell", "layer", "quantity", "batchnorm", "probe"), "text"),
        **dict.fromkeys(("epoch", "value"), "number"),
    },
    "failures": {"key": "text", "cell": "text", "epoch": "number", "why": "text"},
    # How the files were made that all this was read from: `gengap.provenance.record` without settings.
    "origins": {"provenance": "text"},
}
INDEX = ("data", "cells", "probes", "checkpoints", "points", "origins")
_FOREIGN = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError, OverflowError, MemoryError)


@dataclass(frozen=True)
class Index:
    """What an export holds, without the numbers.

    Attributes:
        path: The file.
        study: The name of its study or simulation.
        tables: Those of `INDEX`.
    """

    path: Path
    study: str
    tables: Mapping[str, pd.DataFrame]


def write(
    path: Path,
    study: str,
    tables: Mapping[str, pd.DataFrame],
    found: list[tuple[str, Array]],
    provenance: Mapping[str, Any],
) -> None:
    """Write an export.

    Args:
        path: The file, replaced as a whole.
        study: Name of the study or simulation.
        tables: Those of `TABLES`; one that is left out is empty.
        found: Measured arrays, with the key of each.
        provenance: Of this export.
    """
    # In the older format each of hundreds of datasets takes a kilobyte of headers more.
    with storage.writing(path, KIND, provenance, libver="v110") as file:
        file.attrs["study"] = study
        for name, columns in TABLES.items():
            table = tables.get(name, empty(name))
            compact.write_table(file, name, table[list(columns)])
        compact.write_arrays(file, found)


def empty(name: str) -> pd.DataFrame:
    """A table without rows, its columns of their types."""
    return pd.DataFrame(
        {column: pd.Series(dtype=float if kind == "number" else str) for column, kind in TABLES[name].items()}
    )


def read_index(path: Path) -> Index:
    """What an export holds.

    Raises:
        UserError: If it is no export that can be used.
    """
    with _reading(path) as file:
        return Index(path, str(file.attrs["study"]), {name: _table(file, name) for name in INDEX})


def read_table(path: Path, name: str) -> pd.DataFrame:
    """One table of an export.

    Raises:
        UserError: If the file is no export that can be used.
    """
    with _reading(path) as file:
        return _table(file, name)


def read_arrays(path: Path) -> Iterator[tuple[str, Array]]:
    """The arrays of an export with their keys, one at a time.

    Raises:
        UserError: If the file is no export that can be used.
    """
    with _reading(path) as file:
        for key, array in compact.read_arrays(file):
            _check_quantities(pd.Series([array.quantity]))
            yield key, array


def check(path: Path) -> None:
    """Read all of an export once.

    Raises:
        UserError: If it is no export that can be used.
    """
    for name in TABLES:
        read_table(path, name)
    for _ in read_arrays(path):
        pass


@contextmanager
def _reading(path: Path) -> Iterator[h5py.File]:
    try:
        with storage.reading(path, KIND) as file:
            if not file_digest.read(path):
                raise ValueError("it has no digest of its content")
            yield file
    except UnreadableError:
        raise
    except UserError as error:
        why = str(error).removeprefix(f"{path}: ").split(". ")[0].rstrip(".")
        raise UserError(f"{path}: {why}. Have it exported again, by `gengap export`.") from error
    except (*_FOREIGN, RecursionError) as error:
        why = str(error.args[0] if isinstance(error, KeyError) and error.args else error) or type(error).__name__
        raise UserError(
            f"{path}: is no export that can be read ({why}). Have it exported again, by `gengap export`."
        ) from error


def _table(file: h5py.File, name: str) -> pd.DataFrame:
    table = compact.read_table(file, name)
    columns = TABLES[name]
    if list(table.columns) != list(columns):
        raise ValueError(f"table '{name}' has the columns {', '.join(map(str, table.columns))}")
    for column, kind in columns.items():
        if len(table) and pd.api.types.is_numeric_dtype(table[column]) != (kind == "number"):
            raise ValueError(f"table '{name}': column '{column}' is no {kind}")
    if "quantity" in columns:
        _check_quantities(table["quantity"])
    return table


def _check_quantities(named: pd.Series) -> None:
    if unknown := sorted({*named} - {*QUANTITIES}):
        raise ValueError(f"it measures '{unknown[0]}', which no part here declares")


def parsed(text: str, kind: type) -> Any:
    """A value that a column has as JSON.

    Raises:
        ValueError: If it is no JSON of this kind.
    """
    value = json.loads(text)
    if not isinstance(value, kind):
        raise ValueError(f"{text[:40]!r} is not what it should be")
    return value
