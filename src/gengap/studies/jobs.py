"""The jobs of studies and simulations: which files each reads and writes, and with which settings.

The rules of Snakemake, the stages of DVC and `python -m gengap.training` all use this module, so they agree.
"""

import functools
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gengap import layout, quantities, versions
from gengap.errors import unknown_name
from gengap.registry import check
from gengap.registry.code_dependencies import code_of_evidence, code_of_part, name_of
from gengap.studies.chains import origins
from gengap.studies.identity import training_version
from gengap.studies.imports import Imports, Source
from gengap.studies.job import Job
from gengap.studies.names import path_name, rule_of
from gengap.studies.packing import (
    Fingerprinted,
    collected_settings,
    dataset_key,
    evidence_settings,
    labels_key,
    pack_settings,
    packs,
    probe_keys,
    probe_settings,
    section_settings,
)
from gengap.studies.schema import Component
from gengap.studies.settings import Cell
from gengap.studies.simulation import Simulation, data_of, point_settings, simulation_settings
from gengap.studies.study import Figure, Probe, Study, Table

T = TypeVar("T", bound=Component)
U = TypeVar("U")


@dataclass(frozen=True, eq=False)
class Plan:
    """The jobs of some studies and simulations. The method with a rule's name gives a job of that rule.

    Attributes:
        studies: Studies by name.
        simulations: Simulations by name.
        imports: Results of other machines: what they stand for is neither trained, measured nor simulated here.
    """

    studies: Mapping[str, Study]
    simulations: Mapping[str, Simulation]
    imports: Imports = field(default_factory=Imports)
    _kept: dict[tuple[str | int, ...], Any] = field(default_factory=dict, init=False)

    @functools.cached_property
    def packs(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Names of the cells of each pack of each study, without those that are imported."""
        return {name: self._here(packs(study), self.imported[name]) for name, study in self.studies.items()}

    @functools.cached_property
    def points(self) -> dict[str, dict[str, str]]:
        """Names of the points of each simulation by the names of their files, without those that are imported."""
        return {
            name: {path_name(point): point for point in found.points if point not in self.imported[name]}
            for name, found in self.simulations.items()
        }

    @functools.cached_property
    def imported(self) -> dict[str, dict[str, Source]]:
        """The cells of each study and the points of each simulation whose results are imported, and from where."""
        studies = {name: self.imports.cells(study) for name, study in self.studies.items()}
        return {**studies, **{name: self.imports.points(one) for name, one in self.simulations.items()}}

    @functools.cached_property
    def datasets(self) -> dict[str, Cell]:
        """A cell with each dataset, by the dataset's key."""
        simulated = (
            cell for name in self.simulations for point in self.points[name] if (cell := self._data(name, point))
        )
        return {dataset_key(cell): cell for cell in (*self._cells(), *simulated)}

    @functools.cached_property
    def labels(self) -> dict[tuple[str, str], Cell]:
        """A cell with each label rule, by the keys of its dataset and of the rule."""
        return {self.data_keys(cell): cell for cell in self._cells()}

    def data(self, name: str) -> list[str]:
        """The files of data that a study or a simulation reads, each once."""
        if name in self.studies:
            cells = [self.cell(name, pack) for pack in self.packs[name]]
            return sorted({str(layout.labelled(*self.data_keys(cell))) for cell in cells})
        found = (self._data(name, point) for point in self.points[name])
        return sorted({str(layout.prepared(dataset_key(cell))) for cell in found if cell})

    def cell(self, study: str, pack: str) -> Cell:
        """Any cell of a pack: they share their data.

        Raises:
            UserError: If the study has no such pack, or all of it is imported.
        """
        if pack not in self.packs[study]:
            raise unknown_name("pack", pack, self.packs[study], where=str(layout.packs(study)))
        return self.studies[study].cells[self.packs[study][pack][0]]

    def side_by_side(self, study: str, pack: str) -> int:
        """How many packs of a study can be trained at the same time as this one, itself among them.

        Those that come after as many networks: of a chain, one waits for another.
        """
        counts = self._once(
            ("links", study), lambda: Counter(self.cell(study, name).after.links for name in self.packs[study])
        )
        return counts[self.cell(study, pack).after.links]

    def data_keys(self, cell: Cell) -> tuple[str, str]:
        """The names of the prepared and of the labelled data of a cell of this plan."""
        shared = id(cell.dataset), id(cell.labels)  # by many cells
        return self._once(("data", *shared), lambda: (dataset_key(cell), labels_key(cell)))

    def prepare(self, dataset: str) -> Job:
        """Rescale and standardise the images of a dataset."""
        cell = self.datasets[dataset]
        return Job(
            "prepare",
            {"code": _own(code_of_part("dataset", cell.dataset.name)), "script": _script("prepare")},
            {"prepared": str(layout.prepared(dataset))},
            {"settings": section_settings(cell, "dataset"), "results_version": versions.DATA},
        )

    def label(self, dataset: str, labels: str) -> Job:
        """Choose and label the images that studies use."""
        cell = self.labels[dataset, labels]
        return Job(
            "label",
            {
                "prepared": str(layout.prepared(dataset)),
                "code": _own(code_of_part("labels", cell.labels.name)),
                "script": _script("label"),
            },
            {"labelled": str(layout.labelled(dataset, labels))},
            {"settings": section_settings(cell, "labels"), "results_version": versions.DATA},
        )

    def train(self, study: str, pack: str) -> Job:
        """Train the cells of a pack."""
        return Job(
            "train",
            {**self._labelled(study, pack), **self._origins(study, pack), "script": _script("train")},
            {"weights": str(layout.weights(study, pack)), "history": str(layout.history(study, pack))},
            {"cells": self._settings(study, pack), "results_version": training_version(self.cell(study, pack))},
        )

    def probes(self, study: str) -> dict[str, Probe]:
        """A study's probes by the names of their files."""
        return self._once(("probes", study), lambda: probe_keys(self.studies[study].probes))

    def probe(self, study: str, pack: str, probe: str) -> Job:
        """Measure a probe on the checkpoints of a pack."""
        chosen = self.probes(study)[probe]
        return Job(
            "probe",
            {
                **self._labelled(study, pack),
                "weights": str(layout.weights(study, pack)),
                "code": self._once(("code", chosen.name), lambda: _own(code_of_part("probe", chosen.name))),
                "script": _script("probe"),
            },
            {"measured": str(layout.probe(study, pack, probe))},
            {
                "probe": self._once(("probe", study, probe), lambda: probe_settings(chosen)),
                "cells": self._settings(study, pack),
                "results_version": versions.PROBES,
            },
        )

    def collect(self, study: str) -> Job:
        """Join the histories and measurements of a study's packs, and what is imported."""
        parts, imported = self.packs[study], self._imports(study)
        return Job(
            "collect",
            {
                "labelled": self.data(study),
                "histories": [str(layout.history(study, pack)) for pack in parts],
                "probes": [str(layout.probe(study, pack, probe)) for pack in parts for probe in self.probes(study)],
                "imports": imported,
                "code": self._evidence_code(study, "gengap.evidence.collect"),
                "script": _script("collect"),
            },
            _collected(study),
            {
                "study": self._once(
                    ("study", study), lambda: collected_settings(self.studies[study], probes=bool(imported))
                )
            },
        )

    def simulate(self, study: str, point: str) -> Job:
        """Simulate the draws of one point of a simulation's grid."""
        simulation, cell = self.simulations[study], self._data(study, point)
        return Job(
            "simulate",
            {
                "prepared": [str(layout.prepared(dataset_key(cell)))] if cell else [],
                "code": _own(code_of_part("simulation", simulation.simulated)),
                "script": _script("simulate"),
            },
            {"draws": str(layout.point(study, point))},
            {
                "point": point_settings(simulation.points[self.points[study][point]]),
                "results_version": versions.SIMULATIONS,
            },
        )

    def collect_simulation(self, study: str) -> Job:
        """Join the points of a simulation."""
        return Job(
            "collect_simulation",
            {
                "points": [str(layout.point(study, point)) for point in self.points[study]],
                "imports": self._imports(study),
                "code": self._evidence_code(study, "gengap.evidence.collect_simulation"),
                "script": _script("collect_simulation"),
            },
            _collected(study),
            {"simulation": simulation_settings(self.simulations[study])},
        )

    def figure(self, study: str, name: str) -> Job:
        """Draw a figure."""
        return Job(
            rule_of("figure", name),
            {
                "measurements": str(layout.measurements(study)),
                "published": self._published(study) if check("figure", name).published else [],
                "code": self._part_code(study, "figure", name),
                "script": _script("figure"),
            },
            {key: str(path) for key, path in layout.figure_files(study, name).items()},
            {"figure": evidence_settings(_named(self._target(study).figures, name) or Figure(name=name))},
        )

    def table(self, study: str, name: str) -> Job:
        """Write a table."""
        return Job(
            rule_of("table", name),
            {
                "measurements": str(layout.measurements(study)),
                "published": self._published(study) if check("table", name).published else [],
                "code": self._part_code(study, "table", name),
                "script": _script("table"),
            },
            {suffix: str(layout.table(study, name, suffix)) for suffix in ("csv", "md", "tex", "html")},
            {"table": evidence_settings(_named(self._target(study).tables, name) or Table(name=name))},
        )

    def verdicts(self, study: str) -> Job:
        """Compare every published number with the measured interval."""
        return Job(
            "verdicts",
            {
                "measurements": str(layout.measurements(study)),
                "published": self._published(study),
                "code": self._evidence_code(study, "gengap.evidence.verdicts", "gengap.evidence.tables"),
                "script": _script("verdicts"),
            },
            {"csv": str(layout.verdicts(study)), "html": str(layout.table(study, "verdicts", "html"))},
            {},
        )

    def metrics(self, study: str) -> Job:
        """Sum up a study for DVC's metrics and plots."""
        plots = {name: str(layout.plot(study, name)) for name in ("curves", "final")}
        return Job(
            "metrics",
            {
                "measurements": str(layout.measurements(study)),
                "verdicts": str(layout.verdicts(study)),
                "code": self._evidence_code(study, "gengap.evidence.metrics"),
                "script": _script("metrics"),
            },
            {"metrics": str(layout.metrics(study)), **plots},
            {},
        )

    def jobs(self, study: str) -> Iterator[Job]:
        """All jobs of a study or simulation, in the order of their dependence."""
        if study in self.studies:
            cells = [self.cell(study, pack) for pack in self.packs[study]]
            labelled = sorted({self.data_keys(cell) for cell in cells})
            yield from (self.prepare(key) for key in sorted({dataset for dataset, _ in labelled}))
            yield from (self.label(*keys) for keys in labelled)
        else:
            cells = [cell for point in self.points[study] if (cell := self._data(study, point))]
            yield from (self.prepare(key) for key in sorted({dataset_key(cell) for cell in cells}))
        yield from self.made_from_data(study)
        yield from self.evidence(study)

    def made_from_data(self, study: str) -> Iterator[Job]:
        """The jobs that train and measure a study's packs, or simulate a simulation's points."""
        if study in self.simulations:
            yield from (self.simulate(study, point) for point in self.points[study])
            return
        for pack in self.packs[study]:
            yield self.train(study, pack)
            yield from (self.probe(study, pack, probe) for probe in self.probes(study))

    def evidence(self, study: str) -> Iterator[Job]:
        """The jobs that a study or a simulation ends with."""
        target = self._target(study)
        yield self.collect(study) if study in self.studies else self.collect_simulation(study)
        yield from (self.figure(study, figure.name) for figure in target.figures)
        yield from (self.table(study, table.name) for table in target.tables)
        yield self.verdicts(study)
        yield self.metrics(study)

    def _here(self, groups: Mapping[str, tuple[str, ...]], imported: Container[str]) -> dict[str, tuple[str, ...]]:
        left = {pack: tuple(name for name in names if name not in imported) for pack, names in groups.items()}
        return {pack: names for pack, names in left.items() if names}

    def _imports(self, study: str) -> list[str]:
        """The imports that a study or a simulation reads."""
        return sorted({str(source.path) for source in self.imported[study].values()})

    def _target(self, study: str) -> Study | Simulation:
        return self.studies[study] if study in self.studies else self.simulations[study]

    def _cells(self) -> Iterator[Cell]:
        return (self.cell(study, pack) for study in self.studies for pack in self.packs[study])

    def _data(self, simulation: str, point: str) -> Cell | None:
        if point not in self.points[simulation]:
            raise unknown_name("point", point, self.points[simulation], where=str(layout.points(simulation)))
        return data_of(self.simulations[simulation].points[self.points[simulation][point]])

    def _labelled(self, study: str, pack: str) -> dict[str, str]:
        cell = self.cell(study, pack)
        dataset, labels = self.data_keys(cell)
        return {"prepared": str(layout.prepared(dataset)), "labelled": str(layout.labelled(dataset, labels))}

    def _origins(self, study: str, pack: str) -> dict[str, list[str]]:
        """The weights of the networks that those of a pack start from; nothing where they start from their inits."""
        found, packed = self.studies[study], self.packs[study]
        before = origins(found.cells, found.axes, packed[pack])
        if not before:
            return {}
        pack_of = self._once(("pack of", study), lambda: {name: one for one, names in packed.items() for name in names})
        here = {pack_of[name] for name in before if name in pack_of}  # not those that are imported
        return {"origins": [str(layout.weights(study, one)) for one in packed if one in here]}

    def _once(self, key: tuple[str | int, ...], compute: Callable[[], U]) -> U:
        """What several jobs depend on, or Snakemake asks for again and again, computed at its first use."""
        if key not in self._kept:
            self._kept[key] = compute()
        found: U = self._kept[key]
        return found

    def _settings(self, study: str, pack: str) -> Fingerprinted:
        """Settings of a pack's cells: the jobs that train and that measure it depend on the same."""
        return self._once(("cells", study, pack), lambda: pack_settings(self.studies[study], self.packs[study][pack]))

    def _published(self, study: str) -> list[str]:
        return [str(layout.published(name)) for name in self._target(study).published]

    def _part_code(self, study: str, kind: str, name: str) -> list[str]:
        return sorted(_own({*code_of_part(kind, name), *self._declared(study)}))

    def _evidence_code(self, study: str, *modules: str) -> list[str]:
        return sorted(_own({*code_of_evidence(*modules), *self._declared(study)}))

    def _declared(self, study: str) -> list[str]:
        """The files that say how measured quantities are called and shown."""
        if study in self.studies:
            parts = [("probe", probe.name) for probe in self.studies[study].probes]
        else:
            parts = [("simulation", self.simulations[study].simulated)]
        paths = {path for part in parts for path in quantities.declared_in(*part)}
        return [name_of(path) for path in paths]


def _named(parts: Iterable[T], name: str) -> T | None:
    """The figure or table of this name, if a study lists it."""
    return next((part for part in parts if part.name == name), None)


def _collected(study: str) -> dict[str, str]:
    return {"measurements": str(layout.measurements(study)), "cells": str(layout.cells(study))}


def _own(code: Iterable[str]) -> list[str]:
    """Files of the package as this project reaches them."""
    return [str(layout.own(Path(path))) for path in code]


def _script(rule: str) -> str:
    return str(layout.script(rule))
