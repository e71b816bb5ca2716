"""What imports hold of a study's cells or of a simulation's draws, as the files of packs and points would hold it."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gengap.files import exports
from gengap.files.arrays import Array
from gengap.studies.imports import Import, Imports, Source
from gengap.studies.packing import dataset_key, labels_key, probe_keys
from gengap.studies.simulation import Simulation, cell_names
from gengap.studies.study import Study


@dataclass(frozen=True)
class Imported:
    """The part of one import that a study or a simulation takes.

    Attributes:
        path: The import.
        cells: The study's names of cells by those of the import.
        keys: The study's names of probes, or the simulation's of points, by those of the import.
        facts: Of the labelled data, as `gengap.evidence.collect.data_facts` gives them.
    """

    path: Path
    cells: Mapping[str, str]
    keys: Mapping[str, str]
    facts: Mapping[str, Any]

    def table(self, name: str) -> pd.DataFrame:
        """The rows of these cells and keys in one table of the import, under their names here."""
        table = exports.read_table(self.path, name)
        table = table[table["cell"].isin(list(self.cells))]
        if "key" in table:
            table = table[table["key"].isin(list(self.keys))]
            table = table.assign(key=table["key"].map(self.keys))
        return table.assign(cell=table["cell"].map(self.cells)).reset_index(drop=True)

    def arrays(self) -> Iterator[Array]:
        """The arrays of these cells and keys, one at a time."""
        return (array for _, array in self.keyed_arrays())

    def keyed_arrays(self) -> Iterator[tuple[str, Array]]:
        """The same, each with the study's name of its probe or the simulation's of its point."""
        for key, array in exports.read_arrays(self.path):
            if key in self.keys and len((found := array.of(list(self.cells))).rows):
                renamed = found.rows.assign(cell=found.rows["cell"].map(self.cells))
                yield self.keys[key], dataclasses.replace(found, rows=renamed)


def of_study(study: Study, imports: Imports, *, any_code: bool = False) -> list[Imported]:
    """What a study takes from imports: the cells that `Imports.cells` names."""
    sources = imports.cells(study, any_code=any_code)
    found = []
    for held, names in _by_import(imports, sources):
        keys = held.keys(probe_keys(study.probes), any_code=any_code)
        facts = {}
        for name in names.values():
            cell = study.cells[name]
            facts[f"{dataset_key(cell)}/{labels_key(cell)}"] = held.data_facts(cell)
        found.append(Imported(held.path, names, {theirs: ours for ours, theirs in keys.items()}, facts))
    return found


def of_simulation(simulation: Simulation, imports: Imports, *, any_code: bool = False) -> list[Imported]:
    """What a simulation takes from imports: the draws of the points that `Imports.points` names."""
    sources = imports.points(simulation, any_code=any_code)
    found = []
    for held, points in _by_import(imports, sources):
        cells: dict[str, str] = {}
        for theirs, ours in points.items():
            point = simulation.points[ours]
            cells |= dict(zip(cell_names(theirs, point), cell_names(ours, point), strict=True))
        found.append(Imported(held.path, cells, points, {}))
    return found


def _by_import(imports: Imports, sources: Mapping[str, Source]) -> Iterable[tuple[Import, dict[str, str]]]:
    """Every import that something is taken from, and its names with ours."""
    for held in imports.files:
        names = {source.name: name for name, source in sources.items() if source.path == held.path}
        if names:
            yield held, names
