"""Writing an export: the finished cells of a study, or points of a simulation, as their files and imports hold them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gengap import provenance, versions
from gengap.errors import UserError
from gengap.evidence import imported
from gengap.evidence.collect import data_facts
from gengap.files import arrays, exports, storage
from gengap.files.arrays import Array
from gengap.registry import code_dependencies
from gengap.studies.identity import cell_identities, digest_of_all, measurement_identity, method, point_identity
from gengap.studies.imports import digests_at_hand, text
from gengap.studies.job import Job
from gengap.studies.jobs import Plan
from gengap.studies.packing import dataset_key, labels_key, probe_settings
from gengap.studies.settings import Cell
from gengap.studies.simulation import point_settings


@dataclass
class _Parts:
    """The tables and arrays of an export while it is gathered."""

    tables: dict[str, list[pd.DataFrame]] = field(default_factory=lambda: {name: [] for name in exports.TABLES})
    arrays: list[tuple[str, Array]] = field(default_factory=list)
    origins: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, table: pd.DataFrame | list[dict[str, Any]]) -> None:
        """Add rows to a table."""
        rows = pd.DataFrame(table)
        if len(rows):
            numbers = [column for column, kind in exports.TABLES[name].items() if kind == "number"]
            rows = rows.assign(**{column: pd.to_numeric(rows[column]) for column in numbers})  # not of mixed types
            self.tables[name].append(rows[list(exports.TABLES[name])])

    def origin(self, file: Any) -> int:
        """The number of an origin: how a file says that it was made, its settings left out."""
        made = {key: value for key, value in storage.provenance_of(file).items() if key not in ("settings", "pack")}
        return self.origins.setdefault(json.dumps(made, sort_keys=True), len(self.origins))

    def write(self, path: Path, study: str) -> None:
        """Write the file."""
        self.add("origins", [{"provenance": made} for made in self.origins])
        whole = {name: pd.concat(found, ignore_index=True) for name, found in self.tables.items() if found}
        exports.write(path, study, whole, self.arrays, provenance.record({"study": study}))


def export(plan: Plan, study: str, path: Path) -> tuple[int, int]:
    """Write an export.

    Args:
        plan: The plan of jobs; what it imports is exported again.
        study: Name of the study or the simulation.
        path: The file.

    Returns:
        How many cells it has, and how many the study has; of a simulation, points.

    Raises:
        UserError: If no cell is finished, or a file is damaged.
    """
    parts = _Parts()
    if study in plan.studies:
        for pack in plan.packs[study]:
            _add_pack(parts, plan, study, pack)
        for part in imported.of_study(plan.studies[study], plan.imports):
            _add_imported(parts, part, "cells")
        probes = [
            {"probe": key, "method": method(probe), "settings": json.dumps(probe_settings(probe), sort_keys=True)}
            for key, probe in plan.probes(study).items()
        ]
        parts.add("probes", probes)
        count, of = sum(map(len, parts.tables["cells"])), len(plan.studies[study].cells)
        parts.tables["data"] = [table.drop_duplicates("data") for table in _joined(parts.tables["data"])]
    else:
        for point in plan.points[study]:
            _add_point(parts, plan, study, point)
        for part in imported.of_simulation(plan.simulations[study], plan.imports):
            _add_imported(parts, part, "points")
        count, of = sum(map(len, parts.tables["points"])), len(plan.simulations[study].points)
    if not count:
        raise UserError(f"study '{study}': nothing of it is finished. Run it first: snakemake {study}.")
    parts.write(path, study)
    return count, of


def _joined(tables: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    if tables:
        yield pd.concat(tables, ignore_index=True)


def _add_pack(parts: _Parts, plan: Plan, study: str, pack: str) -> None:
    """Add the cells of a pack that were trained, by their present settings, code and data, and what was measured."""
    train = plan.train(study, pack)
    weights, history = (Path(train.outputs[name]) for name in ("weights", "history"))
    labelled = Path(train.inputs["labelled"])
    data = digests_at_hand(labelled)
    if data is None or not (weights.exists() and history.exists()):
        return
    cells = {name: plan.studies[study].cells[name] for name in plan.packs[study][pack]}
    with storage.reading(weights, "weights") as file:
        saved = storage.read_table(file, "checkpoints").groupby("cell")["epoch"].apply(sorted).to_dict()
        described = storage.read_table(file, "cells")
    if "digest" not in described:
        return  # of a version that cannot tell its measurements from others
    digests = dict(zip(described["cell"], described["digest"], strict=True))
    with storage.reading(history, "history") as file:
        origin, facts = parts.origin(file), storage.read_table(file, "cells").set_index("cell", drop=False)
        known = {name: cell_identities(cell, *data) for name, cell in cells.items()}
        done = [name for name in facts["cell"] if name in known and facts.at[name, "identity"] in known[name]]
        curves = storage.read_table(file, "history")
    key = f"{dataset_key(cells[done[0]])}/{labels_key(cells[done[0]])}" if done else ""
    rows = facts.loc[done].assign(
        settings=[text(cells[name]) for name in done],
        epochs=[json.dumps(saved[name]) for name in done],
        data=key,
        origin=origin,
    )
    parts.add("cells", rows)
    parts.add("history", curves[curves["cell"].isin(done)])
    if done:
        every = [cell for one in plan.studies.values() for cell in one.cells.values()]  # studies share data
        parts.add("data", [_data(key, labelled, data, every)])
    for probe in plan.probes(study):
        how = method(plan.probes(study)[probe])
        wanted = {name: measurement_identity(how, cells[name], digest_of_all(*data), digests[name]) for name in done}
        _add_measured(parts, plan.probe(study, pack, probe), probe, wanted)


def _add_measured(parts: _Parts, job: Job, key: str, wanted: Mapping[str, str]) -> None:
    """Add what a probe's file holds of cells with these identities; failures, if its present code met them."""
    path = Path(job.outputs["measured"])
    if not path.exists():
        return
    with storage.reading(path, "probe") as file:
        if "checkpoints" not in file:
            return
        index = storage.read_table(file, "checkpoints")
        index = index[index["identity"] == index["cell"].map(wanted)]
        cells = list(dict.fromkeys(index["cell"]))
        failed = storage.read_table(file, "failures").assign(key=key)
        current = storage.provenance_of(file).get("code") == code_dependencies.digest(job.inputs["code"])
        failed = failed[failed["cell"].isin(list(wanted) if current else cells)] if len(failed) else failed
        seen = pd.concat([index[["cell", "epoch"]], failed[["cell", "epoch"]]]).drop_duplicates()
        parts.add("checkpoints", seen.assign(probe=key))
        measured = storage.read_table(file, "measurements")
        parts.add("measurements", measured[measured["cell"].isin(cells)].assign(key=key))
        parts.add("failures", failed)
        parts.arrays += [(key, own) for array in arrays.read(file) if len((own := array.of(cells)).rows)]


def _add_point(parts: _Parts, plan: Plan, study: str, key: str) -> None:
    """Add a point that was simulated by the present code."""
    job, name = plan.simulate(study, key), plan.points[study][key]
    point, path = plan.simulations[study].points[name], Path(job.outputs["draws"])
    if not path.exists():
        return
    with storage.reading(path, "draws") as file:
        made = storage.provenance_of(file)
        settings = dict(point_settings(point))
        if made["settings"]["point"] != json.loads(json.dumps(settings)) or (
            made["numbers"]["simulations"] != versions.SIMULATIONS
        ):
            return
        identity, origin = point_identity(point), parts.origin(file)
        described = {"point": name, "settings": json.dumps(settings, sort_keys=True)}
        parts.add("points", [{**described, "identity": identity, "origin": origin}])
        for table in ("measurements", "failures"):
            parts.add(table, storage.read_table(file, table).assign(key=name))
        parts.arrays += [(name, array) for array in arrays.read(file)]


def _add_imported(parts: _Parts, part: imported.Imported, kind: str) -> None:
    """Add what comes from an import, under the names that the study has for it."""
    index = exports.read_index(part.path).tables
    origins = [parts.origins.setdefault(made, len(parts.origins)) for made in index["origins"]["provenance"]]
    if kind == "cells":
        cells = part.table("cells")
        parts.add("cells", cells.assign(origin=[origins[int(origin)] for origin in cells["origin"]]))
        parts.add("data", index["data"][index["data"]["data"].isin(set(cells["data"]))])
        parts.add("history", part.table("history"))
        seen = part.table("checkpoints")
        seen = seen[seen["probe"].isin(list(part.keys))]
        parts.add("checkpoints", seen.assign(probe=seen["probe"].map(dict(part.keys))))
    else:
        points = index["points"][index["points"]["point"].isin(list(part.keys))]
        named = points["point"].map(dict(part.keys))
        parts.add("points", points.assign(point=named, origin=[origins[int(origin)] for origin in points["origin"]]))
    for name in ("measurements", "failures"):
        parts.add(name, part.table(name))
    parts.arrays += list(part.keyed_arrays())


def _data(key: str, labelled: Path, data: tuple[str, str], cells: Iterable[Cell]) -> dict[str, Any]:
    facts = next(iter(data_facts([labelled], cells).values()))
    with storage.reading(labelled, "labelled") as file:
        version = storage.provenance_of(file)["numbers"]["data"]
    told = json.dumps({name: fact for name, fact in facts.items() if name != "digest"}, sort_keys=True)
    return {"data": key, "version": version, "digest": data[0], "teacher": data[1], "facts": told}
