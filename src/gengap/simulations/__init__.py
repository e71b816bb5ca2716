"""Simulations: what is measured on random draws. A new one is one file with a header and two functions.

``simulate(point, seeds, device)`` returns every quantity as float64 ``[len(seeds)]``; ``numbers_per_draw(point)`` says
how many numbers one draw holds at a time, so that as many draws as fit are computed together; a module that computes
them one after another says so, ``ONE_BY_ONE = True``, and is given one at a time, between which there is progress. A
quantity whose further dimensions the module's ``DIMS`` names is an array, float64 ``[n, *dims]``, of the first n of the
seeds; one that belongs to layers is a dictionary by layer. ``BATCHNORM`` is the mode of networks that have BatchNorm.

A simulation with the option ``dataset`` is ``simulate(point, seeds, device, prepared)``, with the prepared file. One
that reads a file which is not downloaded has ``raw_files(point)``: paths in the data root, each with its address.
"""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gengap import layout, registry
from gengap.engine import device as devices
from gengap.files import arrays, storage, timings
from gengap.files.arrays import Array
from gengap.progress import Pace, Progress, told
from gengap.quantities import check_declared
from gengap.studies.simulation import Point, cell_names

_NUMBERS_AT_ONCE = 2**25  # 256 MiB in float64
_MEASUREMENTS = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]


def simulate_point(
    name: str,
    point: Point,
    output: Path,
    *,
    prepared: Path | None = None,
    device: str = "auto",
    provenance: Mapping[str, Any] | None = None,
) -> Pace:
    """Simulate the draws of one point of a grid and write what was measured.

    Args:
        name: Name of the point.
        point: Its settings and seeds.
        output: HDF5 file of kind ``draws``: tables ``measurements`` and ``failures`` and group ``arrays``, as probes
            write them. A number that is not finite is a failure, and so is an array that holds one.
        prepared: The prepared file of the dataset that `gengap.studies.simulation.data_of` names; None if it
            names none.
        device: ``auto``, ``cpu`` or ``cuda``.
        provenance: Stored in the file.

    Returns:
        The draws, and their time.
    """
    module = registry.load("simulation", point.simulation)
    target = devices.choose(device)
    names = cell_names(name, point)
    at_once = draws_at_once(point)
    rows: list[tuple[Any, ...]] = []
    failed: list[tuple[Any, ...]] = []
    found: dict[str, list[tuple[str, NDArray[Any]]]] = {}
    dims: Mapping[str, tuple[str, ...]] = getattr(module, "DIMS", {})
    batchnorm: str = getattr(module, "BATCHNORM", "")
    data = (prepared,) if "dataset" in registry.check("simulation", point.simulation).options else ()
    progress, each = Progress(f"{point.simulation}: draw", len(names), "draws"), _seconds_per_draw(point)
    for at in range(0, len(names), at_once):
        part = names[at : at + at_once]
        these = f"{point.simulation}: draws {at + 1} to {at + len(part)} of {len(names)}, " if len(part) > 1 else ""
        with told(each and each * len(part), these) if these else nullcontext():
            measured = module.simulate(point, point.seeds[at : at + at_once], target, *data)
        for quantity, values in measured.items():
            check_declared("simulation", point.simulation, quantity)
            if quantity in dims:
                for cell, array in zip(part, values.numpy(), strict=False):
                    if np.isfinite(array).all():
                        found.setdefault(quantity, []).append((cell, array))
                    else:
                        failed.append((cell, 0.0, f"{quantity} are not all finite"))
                continue
            by_layer = values if isinstance(values, Mapping) else {"": values}
            for layer, numbers in by_layer.items():
                for cell, value in zip(part, numbers.tolist(), strict=True):
                    if math.isfinite(value):
                        rows.append((cell, 0.0, layer, quantity, value, batchnorm, point.simulation))
                    else:
                        failed.append((cell, 0.0, f"{quantity}{f' of {layer}' if layer else ''} is {value}"))
        progress.advance(at + len(part), len(part))
        each = progress.pace().seconds / progress.pace().work
    with storage.writing(output, "draws", {**(provenance or {}), "device": devices.describe(target)}) as file:
        storage.write_table(file, "measurements", pd.DataFrame(rows, columns=_MEASUREMENTS))
        storage.write_table(file, "failures", pd.DataFrame(failed, columns=["cell", "epoch", "why"]))
        arrays.write(file, [_array(point, quantity, dims[quantity], kept) for quantity, kept in found.items()])
    return progress.pace()


def draws_at_once(point: Point) -> int:
    """How many draws are computed together; changes at most the last bits of a number."""
    module = registry.load("simulation", point.simulation)
    if getattr(module, "ONE_BY_ONE", False):
        return 1
    numbers: int = module.numbers_per_draw(point)
    return max(1, _NUMBERS_AT_ONCE // numbers)


def simulation_kind(point: Point) -> str:
    """What the speed of one draw depends on."""
    return timings.kind_of(timings.SIMULATE, point.model_dump(exclude={"seeds"}))


def _seconds_per_draw(point: Point) -> float | None:
    """As such draws took here before; None if there were none."""
    kind = simulation_kind(point)
    before = [one for one in timings.read(layout.TIMINGS) if one.kind == kind]
    taken = timings.predict(before, len(point.seeds))
    return None if taken is None else taken / len(point.seeds)


def _array(point: Point, quantity: str, dims: tuple[str, ...], kept: list[tuple[str, NDArray[Any]]]) -> Array:
    """One quantity of the draws that have it."""
    rows = pd.DataFrame({"cell": [cell for cell, _ in kept], "epoch": 0.0})
    return Array(quantity, "", dims, "", point.simulation, rows, np.stack([array for _, array in kept]))
