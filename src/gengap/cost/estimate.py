"""What studies will cost on this machine, before they start: which jobs run, what they still have to do, how long.

Which jobs run is Snakemake's word. Seconds are those of one job; `gengap.cost.schedule` makes wall time of them.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gengap import models, registry
from gengap.cost import remaining
from gengap.cost.calibration import START_SECONDS, Sizes, Training, calibrated, operations, sizes
from gengap.engine import device as devices
from gengap.engine import stack
from gengap.engine.stack import Architecture
from gengap.files import timings
from gengap.files.timings import SIMULATE, TRAIN, Timing, kind_of
from gengap.simulations import simulation_kind
from gengap.studies.job import Job
from gengap.studies.jobs import Plan
from gengap.studies.machine import draw_bytes
from gengap.studies.packing import PER_CELL_KEYS, probe_settings
from gengap.studies.settings import Cell, Model
from gengap.studies.study import Probe
from gengap.training import learning_rates, memory_budget

_PACK = 16  # networks of a pack, where sizes are compared
_STEP = 3.0  # passes of a sample through its network that a training step takes as long as
Calibrate = Callable[[Sequence[Training]], Sequence[float]]


@dataclass(frozen=True)
class Planned:
    """One job that is to run.

    Attributes:
        job: Its files and settings.
        part: Its pack, point or data; empty of evidence.
        name: ``train``, ``simulate``, the key of a probe, or the rule.
        kind: See `gengap.files.timings.Timing`.
        work: Sample passes through networks, checkpoints or draws that are left; at most, where cells may stop early.
        seconds: Predicted; None if no job of its kind has run on this machine.
        threads: Cores that it takes.
        to_do: Networks to train, checkpoints to measure or draws.
        of: How many its files hold in the end.
        memory: Of a training job, predicted bytes; of a simulation, what it may take.
        from_other_sizes: Whether `seconds` follow from jobs of networks of other sizes, since none of its own has run.
    """

    job: Job
    part: str
    name: str
    kind: str
    work: float
    seconds: float | None
    threads: int = 1
    to_do: int = 0
    of: int = 0
    memory: int = 0
    from_other_sizes: bool = False


def training_kind(cells: Sequence[Cell]) -> str:
    """What the speed of training such cells depends on, beside how many there are, and the threads."""
    return kind_of(TRAIN, _step(cells), cells[0].model, _data(cells[0]))


def training_family(cells: Sequence[Cell], *, compiled: bool) -> str:
    """What training shares of networks of one kind and different sizes, on data of different sizes."""
    return kind_of(TRAIN, _step(cells), cells[0].model.name, cells[0].dataset.stream, compiled)


def training_size(cell: Cell) -> float:
    """What a training sample costs in a compiled step of a pack, with its share of the evaluations; as a ratio."""
    data = sizes(cell)
    training = Training(_architecture(cell.model, data.image_shape, data.n_outputs), [cell], data, threads=1)
    samples = _PACK * training.batch_size
    evaluated = (data.n_stored + data.n_test) / data.n_train / cell.training.evaluate_every
    return training.step_seconds(_PACK, compiled=True) / samples * (1 + evaluated / _STEP)


def _step(cells: Sequence[Cell]) -> object:
    """What decides how the cells of a pack are trained: settings that they share, and schedules that measure."""
    first = cells[0]
    sections = {"loss": first.loss, "optimizer": first.optimizer, "training": first.training}
    shared = [
        (key, value)
        for name, section in sections.items()
        for key, value in section
        if f"{name}.{key}" not in PER_CELL_KEYS
    ]
    measuring = sorted({cell.schedule.name for cell in cells if "refresh_steps" in _reads(cell.schedule.name)})
    return shared, first.after.links, first.after.masked, measuring


@functools.cache
def _reads(schedule: str) -> Collection[str]:
    return registry.check("schedule", schedule).reads


def _data(cell: Cell) -> object:
    """What a speed depends on of a cell's data: sizes and rules, and no seed or share of what they show."""
    told = [(key, value) for section in (cell.dataset, cell.labels) for key, value in section]
    return [(key, value) for key, value in told if not isinstance(value, float) and not key.endswith("seed")]


def training_work(cells: Sequence[Cell], n_train: int) -> float:
    """Training samples that these cells pass through their networks, at most."""
    return float(sum(cell.training.epochs for cell in cells) * n_train)


def probe_kind(probe: Probe, cell: Cell) -> str:
    """What the speed of measuring one checkpoint depends on, beside the threads."""
    return kind_of(_without_epochs(probe), _data(cell), cell.model, cell.loss)


def probe_family(probe: Probe, cell: Cell) -> str:
    """What probes share that measure networks of one kind and different sizes."""
    return kind_of(_without_epochs(probe), cell.model.name, cell.loss.name)


def _without_epochs(probe: Probe) -> dict[str, Any]:
    return {key: value for key, value in probe_settings(probe).items() if key != "epochs"}


def checkpoint_size(probe: Probe, cell: Cell) -> float:
    """Operations of passing the samples that a probe reads through one network: what its time grows with."""
    data = sizes(cell)
    samples = min(probe.samples or data.n_stored, data.n_stored)
    arch = _architecture(cell.model, data.image_shape, data.n_outputs)
    return samples * operations(arch, data.image_shape)


@functools.cache  # packs of a grid share them
def _architecture(model: Model, image_shape: tuple[int, int, int], n_outputs: int) -> Architecture:
    return stack.architecture(models.build(model, image_shape, n_outputs))


def _training(cells: Sequence[Cell], threads: int) -> Training:
    data = sizes(cells[0])
    return Training(_architecture(cells[0].model, data.image_shape, data.n_outputs), cells, data, threads)


@dataclass(frozen=True)
class Estimator:
    """Predicts the jobs of a plan.

    Attributes:
        plan: The plan of jobs.
        due: The files that Snakemake would make: `gengap.snakemake_support.due.outputs`.
        known: Jobs that ran on this machine.
        cores: Cores that the workflow may use.
        store: Finished cells and measurements of all studies.
        calibrate: `calibrated`, or what stands for it: called for training of kinds that have not run.
    """

    plan: Plan
    due: Collection[Path]
    known: Sequence[Timing]
    cores: int
    store: Path
    calibrate: Calibrate = calibrated

    def planned(self, study: str) -> list[Planned]:
        """The jobs of a study or simulation that are to run, in the order of their dependence."""
        new: dict[str, Training] = {}
        found = [one for one in self._all(study, new) if self._runs(one.job)]
        seconds = dict(zip(new, self.calibrate(list(new.values())) if new else (), strict=True))
        return [
            replace(one, seconds=seconds[one.part]) if one.name == TRAIN and one.part in new else one for one in found
        ]

    def total(self, study: str) -> int:
        """How many jobs it has, those included that need not run."""
        labelled = {self.plan.data_keys(cell) for cell in self._cells(study)}
        data = len({dataset for dataset, _ in labelled}) + len(labelled)
        if study in self.plan.simulations:
            made = len(self.plan.points[study])
        else:
            made = len(self.plan.packs[study]) * (1 + len(self.plan.probes(study)))
        return data + made + sum(1 for _ in self.plan.evidence(study))

    def _all(self, study: str, new: dict[str, Training]) -> Iterator[Planned]:
        """Every job; what packs have to train whose kind has not run is entered into `new`."""
        cells = self._cells(study)
        for dataset in sorted({self.plan.data_keys(cell)[0] for cell in cells}):
            yield self._whole(self.plan.prepare(dataset), dataset, kind_of("prepare", dataset))
        for keys in sorted({self.plan.data_keys(cell) for cell in cells}):
            yield self._whole(self.plan.label(*keys), "/".join(keys), kind_of("label", "/".join(keys)))
        if study in self.plan.simulations:
            yield from self._points(study)
        else:
            for pack in self.plan.packs[study]:
                yield from self._pack(study, pack, new)
        for job in self.plan.evidence(study):
            yield self._whole(job, "", kind_of(job.rule, ""), study)

    def _pack(self, study: str, pack: str, new: dict[str, Training]) -> Iterator[Planned]:
        """Training and probes of a pack; what is left is looked up only where a job runs."""
        cells = [self.plan.studies[study].cells[name] for name in self.plan.packs[study][pack]]
        data, n_packs = sizes(cells[0]), len(self.plan.packs[study])
        train = self.plan.train(study, pack)
        probes = {key: self.plan.probe(study, pack, key) for key in self.plan.probes(study)}
        if not any(map(self._runs, (train, *probes.values()))):
            return
        labelled = self.plan.label(*self.plan.data_keys(cells[0]))
        there = remaining.pack(self.plan, study, pack, self.store, data_are_made=self._runs(labelled))
        if self._runs(train):
            threads = max(1, self.cores // self.plan.side_by_side(study, pack))  # as the rules have it
            yield self._train(train, pack, there, data, threads, new)
        for key, job in probes.items():
            if self._runs(job):
                probe, left = self.plan.probes(study)[key], len(there.to_measure(key))
                threads = max(1, self.cores // n_packs)
                yield self._probe(job, pack, key, probe, cells[0], left, there.checkpoints(probe), threads)

    def _train(
        self, job: Job, pack: str, there: remaining.Pack, data: Sizes, threads: int, new: dict[str, Training]
    ) -> Planned:
        all_cells = list(there.cells.values())
        cells = [there.cells[name] for name in there.to_train]
        kind, work = training_kind(all_cells), training_work(cells, data.n_train)
        if not cells:
            seconds = self._predict(kind, work, threads=threads)
            return Planned(job, pack, TRAIN, kind, 0.0, seconds, threads, 0, len(all_cells))
        training, scaled = _training(cells, threads), False
        alike = [one for one in self._by_kind.get(kind, []) if training.compiled(one) == training.compiles]
        seconds = timings.predict(alike, work, threads=threads, networks=len(cells), step=training.step_seconds)
        if seconds is None:
            seconds = self._predict_from_other_sizes(training, work)
            scaled = seconds is not None
        if seconds is None:
            new[pack] = training
        sizes = data.image_shape, data.n_stored, data.n_outputs
        most = learning_rates.one_that_measures(cells)
        each, shared = memory_budget.predicted_bytes(training.arch, most, *sizes, devices.choose("auto"))
        memory = each * len(cells) + shared
        to_do, of = len(cells), len(all_cells)
        return Planned(job, pack, TRAIN, kind, work, seconds, threads, to_do, of, memory, from_other_sizes=scaled)

    def _predict_from_other_sizes(self, training: Training, work: float) -> float | None:
        family = training_family(training.cells, compiled=training.compiles)
        alike = self._ran_at_sizes.get(family, {})
        size, networks = training_size(training.cells[0]), len(training.cells)
        return timings.predict_from_other_sizes(alike, work, size, threads=training.threads, networks=networks)

    def _probe(
        self, job: Job, pack: str, key: str, probe: Probe, cell: Cell, left: int, of: int, threads: int
    ) -> Planned:
        kind = probe_kind(probe, cell)
        seconds = self._predict(kind, left, threads=threads)
        found = Planned(job, pack, key, kind, left, seconds, threads, left, of)
        if seconds is None and (alike := self._ran_at_sizes.get(probe_family(probe, cell))):
            seconds = timings.predict_from_other_sizes(alike, left, checkpoint_size(probe, cell), threads=threads)
            return replace(found, seconds=seconds, from_other_sizes=seconds is not None)
        return found

    def _points(self, study: str) -> Iterator[Planned]:
        simulation = self.plan.simulations[study]
        for part, name in self.plan.points[study].items():
            point = simulation.points[name]
            kind, draws = simulation_kind(point), len(point.seeds)
            job = self.plan.simulate(study, part)
            memory = draw_bytes(simulation, point)
            yield Planned(job, part, SIMULATE, kind, draws, self._predict(kind, draws), 1, draws, draws, memory)

    def _whole(self, job: Job, part: str, kind: str, study: str = "") -> Planned:
        """A job that is done as a whole or not at all."""
        return Planned(job, part, job.rule, kind, 1.0, self._predict(kind, 1.0, study=study))

    def _predict(self, kind: str, work: float, *, threads: int = 1, networks: int = 1, study: str = "") -> float | None:
        known = self._by_kind.get(kind, [])
        alike = timings.of_study(known, study) if study else known
        seconds = timings.predict(alike, work, threads=threads, networks=networks)
        return START_SECONDS if seconds is None and not work else seconds

    @functools.cached_property
    def _by_kind(self) -> dict[str, list[Timing]]:
        found: dict[str, list[Timing]] = {}
        for one in self.known:
            found.setdefault(one.kind, []).append(one)
        return found

    @functools.cached_property
    def _ran_at_sizes(self) -> dict[str, dict[float, list[Timing]]]:
        """What has run of the training and the probes of these studies, by family and size."""
        found: dict[str, dict[float, list[Timing]]] = {}
        for kind, cells in self._kinds_of_training.items():
            for one in self._by_kind.get(kind, ()):
                family = training_family(cells, compiled=_training(cells, one.threads).compiled(one))
                found.setdefault(family, {}).setdefault(training_size(cells[0]), []).append(one)
        for study, parts in self.plan.packs.items():
            for pack in parts:
                cell = self.plan.cell(study, pack)
                for probe in self.plan.probes(study).values():
                    if ran := self._by_kind.get(probe_kind(probe, cell)):
                        found.setdefault(probe_family(probe, cell), {})[checkpoint_size(probe, cell)] = ran
        return found

    @property
    def _kinds_of_training(self) -> dict[str, list[Cell]]:
        """Cells of a pack of each kind."""
        packs = (
            [self.plan.studies[study].cells[name] for name in names]
            for study, parts in self.plan.packs.items()
            for names in parts.values()
        )
        return {training_kind(cells): cells for cells in packs}

    def _runs(self, job: Job) -> bool:
        return any(Path(path) in self.due for path in job.outputs.values())

    def _cells(self, study: str) -> list[Cell]:
        """A cell with each of the study's data."""
        if study in self.plan.studies:
            return [self.plan.cell(study, pack) for pack in self.plan.packs[study]]
        return []


def predictions(study: str, planned: Sequence[Planned], wall: float) -> list[Timing]:
    """The plan as lines for `gengap.files.timings.PREDICTIONS`, all of one moment; the wall time first."""
    known = [one for one in planned if one.seconds is not None]
    whole = Timing(study, "", timings.WALL, "", len(planned), wall)
    rows = [Timing(study, one.part, one.name, one.kind, one.work, one.seconds or 0.0) for one in known]
    return [Timing(**{**vars(row), "written": whole.written}) for row in (whole, *rows)]
