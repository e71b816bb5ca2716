"""What a probe found on a pack, and what it could not measure: gathered, written as one file, and read back."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap.errors import UserError
from gengap.files import arrays, storage
from gengap.files.arrays import Array
from gengap.logs import log
from gengap.probes.context import Measurement
from gengap.quantities import check_declared
from gengap.studies.study import Probe

COLUMNS = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
Checkpoint = tuple[str, float]  # cell, epoch
_Number = tuple[str, str]  # quantity, layer
# Quantity, layer, dims and shape: networks of one pack may differ in what they were saved at.
_Array = tuple[str, str, tuple[str, ...], tuple[int, ...]]


@dataclass
class Measured:
    """What a probe found on one checkpoint, in the order in which it returned it.

    Attributes:
        numbers: By quantity and layer.
        arrays: By quantity, layer, dims and shape.
    """

    numbers: dict[_Number, float] = field(default_factory=dict)
    arrays: dict[_Array, NDArray[Any]] = field(default_factory=dict)

    def digest(self) -> str:
        """sha256 of all of it."""
        total = hashlib.sha256(repr(sorted(self.numbers.items())).encode())
        for key, values in sorted(self.arrays.items(), key=lambda item: item[0]):
            total.update(repr((key, values.dtype.str)).encode())
            total.update(np.ascontiguousarray(values).data)
        return total.hexdigest()


class ProbeResults:
    """Of one probe on the checkpoints of one pack, or of one cell."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.measured: dict[Checkpoint, Measured] = {}
        self._failures: list[tuple[str, float, str]] = []

    def add(self, measurements: Sequence[Measurement], names: Sequence[str], epochs: Sequence[float]) -> None:
        """Add what `measure` returned for these cells at these epochs."""
        found = [Measured() for _ in names]
        for measurement in measurements:
            check_declared("probe", self._probe.name, measurement.quantity)
            if measurement.dims:
                values = measurement.values.detach().cpu().numpy()
                key = (measurement.quantity, measurement.layer, measurement.dims, values.shape[1:])
                for one, array in zip(found, values, strict=True):
                    one.arrays[key] = array
            else:
                for one, value in zip(found, measurement.values.double().cpu().tolist(), strict=True):
                    one.numbers[measurement.quantity, measurement.layer] = value
        self.measured |= dict(zip(zip(names, epochs, strict=True), found, strict=True))

    def fail(self, name: str, epoch: float, error: Exception) -> None:
        """Record that a network could not be measured."""
        self._failures.append((name, epoch, str(error) or type(error).__name__))

    def _all_failures(self) -> list[tuple[str, float, str]]:
        """What could not be measured, and the numbers of whole networks that are not finite."""
        not_finite = [
            (*checkpoint, f"{quantity} is not finite")
            for quantity, checkpoints in self._by_number(layer=False)
            for checkpoint, value in checkpoints
            if not np.isfinite(value)
        ]
        return [*self._failures, *not_finite]

    def _by_number(self, *, layer: bool) -> Iterator[tuple[Any, list[tuple[Checkpoint, float]]]]:
        """The numbers of all checkpoints by what they are; of whole networks alone, by quantity."""
        keys = dict.fromkeys(key for one in self.measured.values() for key in one.numbers if layer or not key[1])
        for key in keys:
            of_key = [(at, one.numbers[key]) for at, one in self.measured.items() if key in one.numbers]
            yield key if layer else key[0], of_key

    def warn(self) -> None:
        """Say what could not be measured: each reason once."""
        reasons: dict[str, list[str]] = {}
        for name, epoch, why in self._all_failures():
            reasons.setdefault(why, []).append(f"{name} at epoch {epoch:g}")
        for why, where in reasons.items():
            more = f" and {len(where) - 1} more" if len(where) > 1 else ""
            log.warning("%s could not measure %s%s: %s", self._probe.name, where[0], more, why)

    def write(
        self,
        path: Path,
        provenance: Mapping[str, Any],
        *,
        order: Sequence[Checkpoint] | None = None,
        identities: Mapping[str, str] | None = None,
        sync: bool = True,
    ) -> None:
        """Write the file of kind ``probe``.

        Tables ``measurements``, ``failures`` and ``checkpoints``, what was measured and its identity; group ``arrays``.

        Args:
            path: The file, replaced as a whole.
            provenance: Stored in the file.
            order: The order of the checkpoints, so that the file does not depend on which were measured now; that in
                which they were added.
            identities: Of the cells, by which `read` finds their measurements again.
            sync: See `gengap.files.storage.beside`.
        """
        if order is not None:
            self.measured = {at: self.measured[at] for at in order if at in self.measured}
        probe, units = self._probe, {"epoch": "epochs"}
        rows = [
            (*at, layer, quantity, value, probe.batchnorm, probe.name)
            for (quantity, layer), numbers in self._by_number(layer=True)
            for at, value in numbers
        ]
        measured = [(*at, (identities or {}).get(at[0], ""), one.digest()) for at, one in self.measured.items()]
        with storage.writing(path, "probe", provenance, sync=sync) as file:
            storage.write_table(file, "measurements", pd.DataFrame(rows, columns=COLUMNS), units)
            failures = pd.DataFrame(self._all_failures(), columns=["cell", "epoch", "why"])
            storage.write_table(file, "failures", failures, units)
            index = pd.DataFrame(measured, columns=["cell", "epoch", "identity", "digest"])
            storage.write_table(file, "checkpoints", index, units)
            arrays.write(file, list(self._stacked()))

    def _stacked(self) -> Iterator[Array]:
        """The arrays of all checkpoints, those of one shape together."""
        for key in dict.fromkeys(key for one in self.measured.values() for key in one.arrays):
            own = [(at, one.arrays[key]) for at, one in self.measured.items() if key in one.arrays]
            rows = pd.DataFrame([at for at, _ in own], columns=["cell", "epoch"])
            values = np.stack([values for _, values in own])
            yield Array(*key[:3], self._probe.batchnorm, self._probe.name, rows, values)


def read_index(path: Path) -> set[tuple[str, float]]:
    """Which checkpoints a file has measured: identities of cells, as `ProbeResults.write` was given them, and epochs.

    Raises:
        UserError: If the file is damaged.
    """
    with storage.reading(path, "probe") as file:
        if "checkpoints" not in file:  # of a version that kept no identities
            return set()
        index = storage.read_table(file, "checkpoints")
    return set(zip(index["identity"], index["epoch"], strict=True))


def read(path: Path, wanted: set[tuple[str, float]]) -> dict[tuple[str, float], Measured]:
    """What a file holds of these checkpoints, by the identity of the cell and the epoch.

    Raises:
        UserError: If the file is damaged.
    """
    with storage.reading(path, "probe") as file:
        if "checkpoints" not in file:
            return {}
        index = storage.read_table(file, "checkpoints")
        kept = [key in wanted for key in zip(index["identity"], index["epoch"], strict=True)]
        index = index[kept]
        found = {at: Measured() for at in zip(index["cell"], index["epoch"], strict=True)}
        rows = storage.read_table(file, "measurements")
        for row in zip(*(rows[name] for name in ("cell", "epoch", "quantity", "layer", "value")), strict=True):
            if row[:2] in found:
                found[row[:2]].numbers[row[2:4]] = float(row[4])
        for array in arrays.read(file):
            for (_, name, epoch), values in zip(array.rows.itertuples(), array.values, strict=True):
                if (name, epoch) in found:
                    key = (array.quantity, array.layer, array.dims, values.shape)
                    found[name, epoch].arrays[key] = values
    kept_by_identity = {}
    for name, epoch, identity, digest in index.itertuples(index=False):
        if found[name, epoch].digest() != digest:
            raise UserError(f"{path}: does not hold what was measured of {name} at epoch {epoch:g}. Remove the file.")
        kept_by_identity[identity, float(epoch)] = found[name, epoch]
    return kept_by_identity
