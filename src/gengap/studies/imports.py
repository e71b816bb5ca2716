"""Results of other machines, and which cells of a study, or points of a simulation, they stand for.

What an import holds is known by identities, and an identity holds the digest of the labelled data. Where the data are
not at hand, the import tells it, of data with these settings, made by this version. Where they are, it must be theirs.
"""

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import layout, versions
from gengap.counting import count
from gengap.errors import UserError
from gengap.files import exports, storage
from gengap.studies.chains import with_origins
from gengap.studies.identity import cell_identities, measured_epochs, method, point_identity
from gengap.studies.packing import dataset_key, labels_key, probe_keys, probe_settings
from gengap.studies.settings import CODE, Cell, identities
from gengap.studies.simulation import Point, Simulation, point_settings
from gengap.studies.study import Probe, Study

STARTED_FROM = "cells that are trained here start from its weights, which no export has"
_NAMED = 4  # cells that a sentence names
AtHand = Callable[[Path], tuple[str, str] | None]


@dataclass(frozen=True)
class Source:
    """Where the results of a cell or a point are.

    Attributes:
        path: The import.
        name: What it calls the cell or the point.
    """

    path: Path
    name: str


class Import:
    """One file of results.

    Args:
        index: What it holds.

    Raises:
        UserError: If its tables do not fit together.
    """

    def __init__(self, index: exports.Index) -> None:
        self.path, self.study = index.path, index.study
        try:
            self._read(index.tables)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(
                f"{self.path}: is no export that can be read ({error}). Have it exported again, by `gengap export`."
            ) from error

    def _read(self, tables: Mapping[str, Any]) -> None:
        self.data = {row["data"]: row for row in tables["data"].to_dict("records")}
        self._cells: dict[str, dict[Any, Any]] = {}
        for row in tables["cells"].to_dict("records"):
            row["epochs"] = tuple(float(epoch) for epoch in exports.parsed(row["epochs"], list))
            if not row["epochs"] or row["data"] not in self.data:
                raise ValueError(f"the cell '{row['cell']}' lacks its epochs or its data")
            self._cells[row["settings"]] = row
        self._by_settings = {
            _options(exports.parsed(settings, dict)): probe
            for probe, settings in zip(tables["probes"]["probe"], tables["probes"]["settings"], strict=True)
        }
        self._probes = dict(zip(tables["probes"]["method"], tables["probes"]["probe"], strict=True))
        self._measured: dict[tuple[str, str], set[float]] = {}
        for probe, cell, epoch in tables["checkpoints"].itertuples(index=False):
            self._measured.setdefault((probe, cell), set()).add(float(epoch))
        self._points: dict[str, str] = {}
        for point, settings, identity, _ in tables["points"].itertuples(index=False):
            self._points |= {identity: point, _options(exports.parsed(settings, dict)): point}

    def name_of(self, cell: Cell) -> str:
        """What the import calls a cell; empty if it does not hold it."""
        row = self._cells.get(text(cell))
        return row["cell"] if row else ""

    def held(self, settings: Mapping[str, str]) -> list[str]:
        """The names of the cells that the import holds, of cells by name with what `texts` makes of them."""
        return [name for name, one in settings.items() if one in self._cells]

    def of_other_data(self, cell: Cell) -> Path | None:
        """The labelled file at hand, if the import holds the cell and was made of other data."""
        row, labelled = self._cells.get(text(cell)), layout.labelled(dataset_key(cell), labels_key(cell))
        data = self.data[row["data"]] if row else None
        here = digests_at_hand(labelled) if data else None
        return None if not data or here in (None, (data["digest"], data["teacher"])) else labelled

    def data_facts(self, cell: Cell) -> dict[str, Any]:
        """What the import tells of a cell's labelled data: number of classes, class balance and digest."""
        data = self.data[self._cells[text(cell)]["data"]]
        return {**exports.parsed(data["facts"], dict), "digest": data["digest"]}

    def point(self, point: Point, *, any_code: bool = False) -> str:
        """What the import calls a point of a simulation; empty if it does not hold it, or not by this code."""
        return self._points.get(_options(point_settings(point)) if any_code else point_identity(point), "")

    def keys(self, probes: Mapping[str, Probe], *, any_code: bool = False) -> dict[str, str]:
        """What the import calls probes; those that it does not have are left out.

        Args:
            probes: By the names of their files.
            any_code: Whether a probe is meant that was measured by other code.
        """
        known = self._by_settings if any_code else self._probes
        named = {key: _options(probe_settings(probe)) if any_code else method(probe) for key, probe in probes.items()}
        return {key: known[name] for key, name in named.items() if name in known}

    def n_measured(self, cell: Cell, keys: Mapping[str, str]) -> int:
        """How many checkpoints of a cell the import has measurements of, by some of its probes."""
        name = self.name_of(cell)
        return sum(len(self._measured.get((probe, name), ())) for probe in keys.values())

    def lacks(
        self,
        cell: Cell,
        probes: Mapping[str, Probe],
        keys: Mapping[str, str],
        *,
        any_code: bool = False,
        at_hand: AtHand | None = None,
    ) -> str:
        """Why the import cannot stand for a cell with all of a study's probes; empty if it can.

        Args:
            cell: Settings of the cell.
            probes: The study's probes by the names of their files.
            keys: What the import calls them; see `keys`.
            any_code: Whether results of other code, of whatever data, and of a part of the probes count as well: they
                are not what training would give here now, but what they were.
            at_hand: What tells the digests of labelled files; `digests_at_hand`.
        """
        row = self._cells.get(text(cell))
        if row is None:
            return "not in the file"
        if any_code:
            return ""
        data = self.data[row["data"]]
        if other := _other_data(data, cell, at_hand or digests_at_hand):
            return other
        if row["identity"] not in cell_identities(cell, data["digest"], data["teacher"]):
            return "not trained by this version of the training code"
        for key, probe in probes.items():
            measured = self._measured.get((keys.get(key, ""), row["cell"]), set())
            if not measured.issuperset(measured_epochs(probe, row["epochs"])):
                return f"probe '{key}' was not measured by this code"
        return ""


@dataclass(frozen=True)
class Imports:
    """All results of other machines.

    Of a cell that several hold, that file counts which has measured most for the study; of these the study's own, or
    the first in the order of their names.
    """

    files: tuple[Import, ...] = ()

    def cells(self, study: Study, *, any_code: bool = False) -> dict[str, Source]:
        """Of a study's cells, those that an import stands for: histories, and all that its probes measure.

        Not those that a cell comes after which is trained here, unless `any_code`: it starts from their weights.

        Args:
            study: The study.
            any_code: See `Import.lacks`.
        """
        probes, at_hand = probe_keys(study.probes), functools.cache(digests_at_hand)
        settings = texts(study.cells) if self.files else {}
        found: dict[str, Source] = {}
        most: dict[str, int] = {}
        for one in sorted(self.files, key=lambda one: one.study != study.name):
            keys = one.keys(probes, any_code=any_code)
            for name in one.held(settings):
                cell = study.cells[name]
                if one.lacks(cell, probes, keys, any_code=any_code, at_hand=at_hand):
                    continue
                if (measured := one.n_measured(cell, keys)) > most.get(name, -1):
                    found[name], most[name] = Source(one.path, one.name_of(cell)), measured
        left = [] if any_code or not found else [name for name in study.cells if name not in found]
        trained = {*with_origins(study.cells, study.axes, left)}
        return {name: found[name] for name in study.cells if name in found and name not in trained}

    def points(self, simulation: Simulation, *, any_code: bool = False) -> dict[str, Source]:
        """Of a simulation's points, those that an import stands for; `any_code` as of `cells`."""
        found = {}
        for name, point in simulation.points.items() if self.files else ():
            held = ((one.path, one.point(point, any_code=any_code)) for one in self.files)
            if source := next((Source(*one) for one in held if one[1]), None):
                found[name] = source
        return found


def read(paths: Iterable[Path] | None = None) -> Imports:
    """Read imports.

    Args:
        paths: Their files; by default all of `layout.IMPORTS`.

    Raises:
        UserError: If one is damaged, or is no export.
    """
    found = sorted(layout.IMPORTS.glob("*.h5")) if paths is None else list(paths)
    return Imports(tuple(Import(exports.read_index(path)) for path in found))


def text(cell: Cell) -> str:
    """A cell's settings as an import has them."""
    return json.dumps(cell.identity(), sort_keys=True)


def texts(cells: Mapping[str, Cell]) -> dict[str, str]:
    """What `text` makes of each cell, by name; much faster for the cells of a study, which share their sections."""
    return {name: json.dumps(identity, sort_keys=True) for name, identity in identities(cells).items()}


def _other_data(data: Mapping[str, Any], cell: Cell, at_hand: AtHand) -> str:
    if data["version"] != versions.DATA:
        return f"data not made by version {versions.DATA} of the code of data"
    here = at_hand(layout.labelled(dataset_key(cell), labels_key(cell)))
    return "" if here in (None, (data["digest"], data["teacher"])) else "of other labelled data than those here"


def _options(settings: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in settings.items() if key not in ("epochs", CODE)}, sort_keys=True)


def digests_at_hand(labelled: Path) -> tuple[str, str] | None:
    """Digests of a labelled file, of images and labels and of the teacher's outputs; None if it is not there."""
    if not labelled.exists():
        return None
    try:
        with storage.reading(labelled, "labelled") as file:
            teacher = str(file["teacher"].attrs["outputs_digest"]) if "train_outputs" in file else ""
            return str(file.attrs["digest"]), teacher
    except UserError:  # damaged: it is made again
        return None


def unused(imports: Imports, study: Study) -> Iterator[str]:
    """Sentences on cells of a study that imports hold and yet cannot stand for, and why: they are trained here."""
    used, probes, at_hand = imports.cells(study), probe_keys(study.probes), functools.cache(digests_at_hand)
    settings = texts({name: cell for name, cell in study.cells.items() if name not in used}) if imports.files else {}
    for one in imports.files:
        keys = one.keys(probes)
        reasons: dict[str, list[str]] = {}
        for name in one.held(settings):
            why = one.lacks(study.cells[name], probes, keys, at_hand=at_hand) or STARTED_FROM
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            yield (
                f"{study.name}: {one.path} has {count(len(names), 'cell')} that cannot be used ({why}) and "
                f"{'is' if len(names) == 1 else 'are'} to be trained here: {listed(names)}."
            )


def listed(names: Sequence[str]) -> str:
    """Some names, of many the first."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
