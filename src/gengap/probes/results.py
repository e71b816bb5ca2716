"""What a probe found on a pack, and what it could not measure: gathered, and written as one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap.files import arrays, storage
from gengap.files.arrays import Array
from gengap.logs import log
from gengap.probes.context import Measurement
from gengap.quantities import check_declared
from gengap.studies.study import Probe

COLUMNS = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
_Row = tuple[str, float, NDArray[Any]]  # cell, epoch, values


class ProbeResults:
    """Of one probe on one pack."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._rows: list[tuple[Any, ...]] = []
        self._failures: list[tuple[str, float, str]] = []
        # By quantity, layer, dims and shape: networks of one pack may differ in what they were saved at.
        self._arrays: dict[tuple[str, str, tuple[str, ...], tuple[int, ...]], list[_Row]] = {}

    def add(self, measurements: Sequence[Measurement], names: Sequence[str], epochs: Sequence[float]) -> None:
        """Add what `measure` returned for these cells at these epochs."""
        for measurement in measurements:
            check_declared("probe", self._probe.name, measurement.quantity)
            if measurement.dims:
                values = measurement.values.detach().cpu().numpy()
                key = (measurement.quantity, measurement.layer, measurement.dims, values.shape[1:])
                kept = self._arrays.setdefault(key, [])
                kept += list(zip(names, epochs, values, strict=True))
            else:
                self._add_numbers(measurement, names, epochs)

    def _add_numbers(self, measurement: Measurement, names: Sequence[str], epochs: Sequence[float]) -> None:
        probe = self._probe
        for name, epoch, value in zip(names, epochs, measurement.values.double().cpu().tolist(), strict=True):
            self._rows.append(
                (name, epoch, measurement.layer, measurement.quantity, value, probe.batchnorm, probe.name)
            )
            if not measurement.layer and not np.isfinite(value):
                self._failures.append((name, epoch, f"{measurement.quantity} is not finite"))

    def fail(self, name: str, epoch: float, error: Exception) -> None:
        """Record that a network could not be measured."""
        self._failures.append((name, epoch, str(error) or type(error).__name__))

    def _warn(self) -> None:
        """Say what could not be measured: each reason once."""
        reasons: dict[str, list[str]] = {}
        for name, epoch, why in self._failures:
            reasons.setdefault(why, []).append(f"{name} at epoch {epoch:g}")
        for why, where in reasons.items():
            more = f" and {len(where) - 1} more" if len(where) > 1 else ""
            log.warning("%s could not measure %s%s: %s", self._probe.name, where[0], more, why)

    def write(self, path: Path, provenance: Mapping[str, Any]) -> None:
        """Write the file of kind ``probe``: tables ``measurements`` and ``failures``, group ``arrays``."""
        self._warn()
        units = {"epoch": "epochs"}
        with storage.writing(path, "probe", provenance) as file:
            storage.write_table(file, "measurements", pd.DataFrame(self._rows, columns=COLUMNS), units)
            failures = pd.DataFrame(self._failures, columns=["cell", "epoch", "why"])
            storage.write_table(file, "failures", failures, units)
            arrays.write(file, [self._array(*key[:3], kept) for key, kept in self._arrays.items()])

    def _array(self, quantity: str, layer: str, dims: tuple[str, ...], kept: list[_Row]) -> Array:
        rows = pd.DataFrame([(name, epoch) for name, epoch, _ in kept], columns=["cell", "epoch"])
        values = np.stack([values for _, _, values in kept])
        return Array(quantity, layer, dims, self._probe.batchnorm, self._probe.name, rows, values)
