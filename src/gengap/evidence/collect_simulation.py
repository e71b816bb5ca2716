"""From the files of a simulation's points to the same measurements as a study's, so that evidence is made alike."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from gengap import registry
from gengap.evidence import collect
from gengap.evidence.imported import Imported
from gengap.files import arrays, storage
from gengap.files.arrays import Array
from gengap.studies.simulation import SEED, Simulation, cell_names


def collect_simulation(
    simulation: Simulation,
    files: list[Path],
    measurements: Path,
    cells_csv: Path,
    imports: Sequence[Imported] = (),
) -> None:
    """Write a simulation's ``measurements.h5`` and ``cells.csv``; a cell is one draw, and a pack one point of the grid.

    Args:
        simulation: The simulation; draws of the files that are no longer in its grid are left out.
        files: One file of kind ``draws`` per point.
        measurements: The HDF5 file to write; `gengap.evidence.measurements.read` reads it.
        cells_csv: The table of cells to write.
        imports: What is taken from imports.

    Raises:
        UserError: If a file is missing or damaged.
    """
    found: dict[str, list[pd.DataFrame]] = {"measurements": [], "failures": []}
    for path in files:
        with storage.reading(path, "draws") as file:
            for name, read in found.items():
                read.append(storage.read_table(file, name))
    for one in imports:
        for name, read in found.items():
            read.append(one.table(name))
    cells = cells_of(simulation)
    failures = [table.assign(probe=simulation.simulated) for table in found["failures"]]
    joined = {
        "measurements": collect.joined(found["measurements"], collect.MEASUREMENTS),
        "failures": collect.joined(failures, collect.FAILURES),
    }
    kept = {name: table[table["cell"].isin(cells["cell"])].reset_index(drop=True) for name, table in joined.items()}
    cells = cells.merge(collect.final_values(kept["measurements"]), on="cell", how="left", validate="1:1")
    study = {**collect.description(simulation), "axes": list(simulation.axes), "n_cells": len(cells), "data": {}}
    options = registry.check("simulation", simulation.simulated).options
    study["fixed"] = {name: str(cells[name].iloc[0]) for name in options if name not in simulation.axes}
    tables = {"cells": cells, "history": collect.joined([], collect.HISTORY), **kept}
    collect.write(measurements, cells_csv, study, tables, _arrays(files, imports, list(cells["cell"])))


def _arrays(files: list[Path], imports: Sequence[Imported], cells: list[str]) -> Iterator[Array]:
    """The arrays of these cells, one at a time; a point all of whose draws left the grid has none."""
    for path in files:
        with storage.reading(path, "draws") as file:
            yield from (found for array in arrays.read(file) if len((found := array.of(cells)).rows))
    for one in imports:
        yield from one.arrays()


def cells_of(simulation: Simulation) -> pd.DataFrame:
    """One row per draw: its settings, varied or not. A draw trains nothing: what training reports is empty or 0."""
    options = registry.check("simulation", simulation.simulated).options
    settings = [*simulation.axes[:-1], *(option for option in options if option not in simulation.axes)]
    untrained = {"status": "finished", "stopped_by": "", "epochs_trained": 0.0, "n_parameters": 0}
    nullable = {key for key in settings for point in simulation.points.values() if getattr(point, key) is None}
    rows = []
    for name, point in simulation.points.items():
        shared = {key: getattr(point, key) for key in settings}
        # null is a value like any other: spelled as in the cell's name, where pandas would leave its rows out
        shared = {key: str(value) if key in nullable else value for key, value in shared.items()}
        for cell, seed in zip(cell_names(name, point), point.seeds, strict=True):
            rows.append({"cell": cell, **shared, SEED: seed, **untrained, "pack": name})
    return pd.DataFrame(rows)
