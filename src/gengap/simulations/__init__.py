"""Simulations: what is measured on random draws. A new one is one file with two functions and one registry line.

``simulate(point, seeds, device)`` returns every quantity as float64 ``[len(seeds)]``; ``numbers_per_draw(point)`` says
how many numbers one draw holds at a time, so that as many draws as fit are computed together.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gengap import registry, storage
from gengap.engine import device as devices
from gengap.logs import log
from gengap.simulation import Point, cell_names

_NUMBERS_AT_ONCE = 2**25  # 256 MiB in float64
_MEASUREMENTS = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]


def simulate_point(
    name: str, point: Point, output: Path, *, device: str = "auto", provenance: Mapping[str, Any] | None = None
) -> None:
    """Simulate the draws of one point of a grid and write what was measured.

    Args:
        name: Name of the point.
        point: Its settings and seeds.
        output: HDF5 file of kind ``draws``: tables ``measurements`` and ``failures``, as probes write them. A number
            that is not finite is a failure.
        device: ``auto``, ``cpu`` or ``cuda``.
        provenance: Stored in the file.
    """
    module = registry.load("simulation", point.simulation)
    target = devices.choose(device)
    names = cell_names(name, point)
    at_once = draws_at_once(point)
    rows: list[tuple[Any, ...]] = []
    failed: list[tuple[Any, ...]] = []
    for at in range(0, len(names), at_once):
        part = names[at : at + at_once]
        measured = module.simulate(point, point.seeds[at : at + at_once], target)
        for quantity, values in measured.items():
            for cell, value in zip(part, values.tolist(), strict=True):
                if math.isfinite(value):
                    rows.append((cell, 0.0, "", quantity, value, "", point.simulation))
                else:
                    failed.append((cell, 0.0, f"{quantity} is {value}"))
        log.info("%s: %d of %d draws", point.simulation, at + len(part), len(names))
    with storage.writing(output, "draws", {**(provenance or {}), "device": devices.describe(target)}) as file:
        storage.write_table(file, "measurements", pd.DataFrame(rows, columns=_MEASUREMENTS))
        storage.write_table(file, "failures", pd.DataFrame(failed, columns=["cell", "epoch", "why"]))


def draws_at_once(point: Point) -> int:
    """How many draws are computed together; changes at most the last bits of a number."""
    numbers: int = registry.load("simulation", point.simulation).numbers_per_draw(point)
    return max(1, _NUMBERS_AT_ONCE // numbers)
