"""Arrays that probes measured, one row per checkpoint: spectra, curves, matrices. Their form in HDF5 files.

Group ``arrays`` holds one group per (quantity, layer, probe): dataset ``values`` ``[rows, *dims]`` and table ``rows``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap.files import storage


@dataclass(frozen=True)
class Array:
    """One measured array of several checkpoints of one shape.

    Attributes:
        quantity: A name from `gengap.quantities`.
        layer: The layer it belongs to; empty for the whole network.
        dims: What the dimensions of `values` after the first are, e.g. ``("eigenvalue",)``.
        batchnorm: The BatchNorm mode.
        probe: The probe.
        rows: Columns ``cell`` and ``epoch``, a row per checkpoint.
        values: ``[rows, *dims]``.
    """

    quantity: str
    layer: str
    dims: tuple[str, ...]
    batchnorm: str
    probe: str
    rows: pd.DataFrame
    values: NDArray[Any]

    def of(self, cells: list[str]) -> "Array":
        """The same for some cells alone."""
        chosen = np.flatnonzero(self.rows["cell"].isin(cells))
        return Array(
            self.quantity,
            self.layer,
            self.dims,
            self.batchnorm,
            self.probe,
            self.rows.iloc[chosen].reset_index(drop=True),
            self.values[chosen],
        )


def write(group: h5py.Group, arrays: list[Array]) -> None:
    """Add arrays to those that the group ``arrays`` already holds."""
    parent = group.require_group("arrays")
    for array in arrays:
        one = parent.create_group(f"{len(parent):05d}")
        one.attrs.update(attributes(array))
        storage.write_table(one, "rows", array.rows, {"epoch": "epochs"})
        storage.write_array(one, "values", array.values)


def read(group: h5py.Group, quantity: str | None = None) -> Iterator[Array]:
    """The arrays of a quantity, or all; a file without arrays has none."""
    for array in group["arrays"].values() if "arrays" in group else ():
        if quantity in (None, array.attrs["quantity"]):
            yield from_attributes(array.attrs, storage.read_table(array, "rows"), storage.read_array(array, "values"))


def probes(group: h5py.Group) -> tuple[str, ...]:
    """The probes that measured the arrays of a file, each once."""
    return tuple(
        dict.fromkeys(str(one.attrs["probe"]) for one in (group["arrays"].values() if "arrays" in group else ()))
    )


def attributes(array: Array) -> dict[str, str]:
    """What an array is, as attributes of its group."""
    named = {key: getattr(array, key) for key in ("quantity", "layer", "batchnorm", "probe")}
    return {**named, "dims": json.dumps(array.dims)}


def from_attributes(attributes: Mapping[str, Any], rows: pd.DataFrame, values: NDArray[Any]) -> Array:
    """The array of which `attributes` was taken."""
    named = {key: str(attributes[key]) for key in ("quantity", "layer", "batchnorm", "probe")}
    return Array(**named, dims=tuple(json.loads(attributes["dims"])), rows=rows, values=values)
