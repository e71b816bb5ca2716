"""Joining the histories and probe files of a study's packs into one file of measurements and one table of cells."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gengap import provenance
from gengap.errors import UserError
from gengap.evidence.derived import with_derived
from gengap.evidence.imported import Imported
from gengap.evidence.measurements import first_modes
from gengap.evidence.stuck import trivial_distillation, with_stuck
from gengap.files import arrays, storage
from gengap.files.arrays import Array
from gengap.quantities import QUANTITIES
from gengap.studies.grid import format_value, value_at
from gengap.studies.packing import dataset_key, labels_key, packs
from gengap.studies.schema import Component
from gengap.studies.settings import Cell, allowed_options, leaf_names
from gengap.studies.simulation import Simulation
from gengap.studies.study import Study, axis_names, axis_values

FACTS = ["cell", "status", "stopped_by", "epochs_trained", "n_parameters"]
HISTORY = ["cell", "epoch", "quantity", "value", "batchnorm"]
MEASUREMENTS = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
FAILURES = ["cell", "epoch", "why", "probe"]
NUMBERS = {"epoch", "value", "epochs_trained", "n_parameters"}


def collect(
    study: Study,
    data_facts: Mapping[str, Any],
    histories: list[Path],
    probes: list[Path],
    measurements: Path,
    cells_csv: Path,
    imports: Sequence[Imported] = (),
) -> None:
    """Write a study's ``measurements.h5`` and ``cells.csv``.

    Args:
        study: The study; cells of the files that are no longer in its grid are left out.
        data_facts: Plain facts about the labelled data, e.g. the class balance; kept with the study.
        histories: One history file per pack.
        probes: One file per pack and probe.
        measurements: The HDF5 file to write; `gengap.evidence.measurements.read` reads it.
        cells_csv: The table of cells to write.
        imports: What is taken from imports.

    Raises:
        UserError: If a file is missing or damaged, or a cell has no history.
    """
    data_facts = {**data_facts, **{key: facts for one in imports for key, facts in one.facts.items()}}
    facts, history = (
        joined([*(_read(path, "history", name) for path in histories), *(one.table(name) for one in imports)], columns)
        for name, columns in (("cells", FACTS), ("history", HISTORY))
    )
    history = _of_study(history, study)
    found_here = [_read(path, "probe", "measurements") for path in probes]
    measured = _of_study(joined([*found_here, *(one.table("measurements") for one in imports)], MEASUREMENTS), study)
    measured = pd.concat([measured, _generalization_gap(measured)], ignore_index=True)
    failed_here = [_read(path, "probe", "failures").assign(probe=path.stem) for path in probes]
    failures = joined([*failed_here, *(_failures(one) for one in imports)], FAILURES)
    fixed, varied = beside_axes(study)
    first = measured[measured["batchnorm"] == measured["probe"].map(first_modes(measured))]
    cells = _cells(study, facts, varied).merge(final_values(first), on="cell", how="left", validate="1:1")
    shares, taught = class_shares(study, data_facts), trivial_losses(study, data_facts)
    cells = with_stuck(with_derived(cells, history, first), study.cells, shares, taught)
    arrays_here = (array for path in probes for array in _arrays(path, study))  # one at a time: spectra are large
    found = itertools.chain(arrays_here, *(one.arrays() for one in imports))
    tables = {"cells": cells, "history": history, "measurements": measured, "failures": _of_study(failures, study)}
    axes = list(axis_names(study))
    described = {**description(study), "axes": axes, "n_cells": len(study.cells), "data": dict(data_facts)}
    described |= {"fixed": fixed, "varied": list(varied)}
    if study.scoreboard:
        described["scoreboard"] = study.scoreboard.model_dump(mode="json")
    write(measurements, cells_csv, described, tables, found)


def description(study: Study | Simulation) -> dict[str, Any]:
    """What `Evidence.study` says of a study or a simulation, apart from its cells and its data."""
    return {key: getattr(study, key) for key in ("name", "title", "question", "source", "reduced")}


def write(
    measurements: Path,
    cells_csv: Path,
    study: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    found: Iterable[Array] = (),
) -> None:
    """Write the two files that evidence is read from.

    Args:
        measurements: The HDF5 file to write.
        cells_csv: The table of cells to write.
        study: What `gengap.evidence.measurements.Evidence.study` holds.
        tables: Its tables ``cells``, ``history``, ``measurements`` and ``failures``.
        found: Its arrays.
    """
    # Stored values are fractions even where figures show percent.
    units = {**dict.fromkeys(QUANTITIES, "1"), "epoch": "epoch", "epochs_trained": "epoch"}
    with storage.writing(measurements, "measurements", provenance.record({"study": study})) as file:
        file.attrs["study"] = json.dumps(study, sort_keys=True)
        for name, table in tables.items():
            storage.write_table(file, name, table, units)
        for array in found:
            arrays.write(file, [array])
    storage.write_text(cells_csv, tables["cells"].to_csv(index=False, lineterminator="\n"))


def data_facts(labelled: list[Path], cells: Iterable[Cell]) -> dict[str, Any]:
    """What a report says of the labelled data, by file: classes, class balance, digest.

    Of a teacher that is distilled, also the loss of the best constant answer by temperature.

    Args:
        labelled: The files.
        cells: The cells that are trained on them.
    """
    temperatures = {cell.loss.temperature for cell in cells if cell.loss.name == "distillation"}
    facts: dict[str, Any] = {}
    for path in labelled:
        with storage.reading(path, "labelled") as file:
            own = facts[f"{path.parent.name}/{path.stem}"] = {
                "n_classes": int(file.attrs["n_classes"]),
                "class_balance": json.loads(file.attrs["class_balance"]),
                "digest": str(file.attrs["digest"]),
            }
            if temperatures and "train_outputs" in file:
                outputs = storage.read_array(file, "train_outputs")
                own["trivial_losses"] = {str(one): trivial_distillation(outputs, one) for one in temperatures}
    return facts


def class_shares(study: Study, data_facts: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """For every cell, the share of each class in the labels that it was trained on."""
    return {name: facts["class_balance"]["train"] for name, facts in _facts_of_cells(study, data_facts)}


def trivial_losses(study: Study, data_facts: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """For every cell, the trivial losses of its teacher by temperature; see `gengap.evidence.stuck`."""
    return {name: facts.get("trivial_losses", {}) for name, facts in _facts_of_cells(study, data_facts)}


def _facts_of_cells(study: Study, data_facts: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, cell in study.cells.items():
        if (facts := data_facts.get(f"{dataset_key(cell)}/{labels_key(cell)}")) is not None:
            yield name, facts


def final_values(measurements: pd.DataFrame) -> pd.DataFrame:
    """The whole-network quantities at each cell's last measured epoch: one row per cell, one column per quantity."""
    whole = measurements[measurements["layer"] == ""]
    last = whole[whole["epoch"] == whole.groupby("cell")["epoch"].transform("max")]
    wide = last.drop_duplicates(["cell", "quantity"]).pivot(index="cell", columns="quantity", values="value")
    known = [quantity for quantity in QUANTITIES if quantity in wide]
    others = [str(quantity) for quantity in wide if quantity not in QUANTITIES]
    return wide[known + others].rename_axis(columns=None).reset_index()


def beside_axes(study: Study) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The settings that are no axis, by short name and spelled as in a cell's name.

    Returns:
        The value of each that all cells read and share; and of each that changes from cell to cell, as with an axis
        such as ``arm``, one value per cell, empty where the cell does not read it.
    """
    read = [_read_settings(cell) for cell in study.cells.values()]
    names = [name for name in leaf_names().values() if name not in axis_names(study)]
    values = {name: [settings.get(name, "") for settings in read] for name in names}
    fixed = {
        name: own[0]
        for name, own in values.items()
        if len(set(own)) == 1 and all(name in settings for settings in read)
    }
    return fixed, {name: own for name, own in values.items() if len({*own} - {""}) > 1}


def _read_settings(cell: Cell) -> dict[str, str]:
    """The settings of one cell that its components read."""
    found = {}
    for dotted, name in leaf_names().items():
        section, _, key = dotted.partition(".")
        settings = getattr(cell, section)
        if not (key and isinstance(settings, Component)) or key in ("name", *allowed_options(section, settings.name)):
            found[name] = format_value(value_at(cell, dotted))
    return found


def _cells(study: Study, facts: pd.DataFrame, varied: Mapping[str, list[str]]) -> pd.DataFrame:
    """One row per cell of the grid, in its order: axes and what varies with them, what training reported, pack."""
    there = set(facts["cell"])
    if missing := [name for name in study.cells if name not in there]:
        raise UserError(
            f"study '{study.name}': {len(missing)} of {len(study.cells)} cells have no history, e.g. '{missing[0]}'. "
            "Run the study again; it trains what is missing."
        )
    axes = pd.DataFrame([{"cell": name, **axis_values(study, cell)} for name, cell in study.cells.items()])
    for axis in axes.columns:
        if axes[axis].isna().any():  # null is a value like any other: spelled as in the cell's name
            axes[axis] = [str(axis_values(study, cell)[axis]) for cell in study.cells.values()]
    axes = axes.assign(**varied)
    pack_of = {name: pack for pack, names in packs(study).items() for name in names}
    cells = axes.merge(facts, on="cell", how="left", validate="1:1")
    return cells.assign(pack=cells["cell"].map(pack_of))


def _generalization_gap(measurements: pd.DataFrame) -> pd.DataFrame:
    """Train minus test accuracy, where one probe measured both in the same BatchNorm mode."""
    key = ["cell", "epoch", "layer", "batchnorm", "probe"]
    train, test = (measurements[measurements["quantity"] == f"{split}_accuracy"] for split in ("train", "test"))
    both = train.merge(test, on=key, suffixes=("_train", "_test"))
    both = both.assign(quantity="generalization_gap", value=both["value_train"] - both["value_test"])
    return both[MEASUREMENTS].astype(measurements.dtypes.to_dict())


def _read(path: Path, kind: str, table: str) -> pd.DataFrame:
    with storage.reading(path, kind) as file:
        return storage.read_table(file, table)


def _arrays(path: Path, study: Study) -> Iterator[Array]:
    with storage.reading(path, "probe") as measured_pack:
        for array in arrays.read(measured_pack):
            yield array.of(list(study.cells))


def _failures(imported: Imported) -> pd.DataFrame:
    table = imported.table("failures")
    return table.assign(probe=table["key"])


def _of_study(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    return table[table["cell"].isin(list(study.cells))].reset_index(drop=True)


def joined(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """These columns of all tables; without any row, an empty table of the right types."""
    filled = [table[columns] for table in tables if len(table)]
    if not filled:
        return pd.DataFrame({column: pd.Series(dtype=float if column in NUMBERS else str) for column in columns})
    return pd.concat(filled, ignore_index=True)
