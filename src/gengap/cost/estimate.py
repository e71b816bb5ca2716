"""What a study will cost on this machine, before it starts: jobs, hours and memory."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from gengap import losses, models, registry
from gengap.engine import device as devices
from gengap.engine import evaluation, stack
from gengap.engine.stack import Architecture
from gengap.files.timings import SIMULATE, TRAIN, Timing
from gengap.probes.checkpoints import measured_epochs, planned_epochs
from gengap.studies.names import path_name
from gengap.studies.packing import packs, probe_settings, shape_key
from gengap.studies.settings import Cell
from gengap.studies.simulation import Point, Simulation
from gengap.studies.study import Probe, Study
from gengap.training import augmentation, compilation, memory_budget, pack_state, random_inputs
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.step import StepInputs, make_step

# Until a pack of its kind has run here, a compiled step is taken for this share of an eager one, or for so many
# evaluations, whichever is less (9 of them in wide networks to 20 in narrow ones on our own kernels, whose eager steps
# take up to 50 times as long as compiled ones); compiling takes so long.
_COMPILED, _EVALUATIONS, _COMPILE_SECONDS = 0.2, 15.0, 20.0
_START_SECONDS = 6.0  # of a job: Snakemake's, Python's and PyTorch's start, and reading the data
# Of a calibration: images at first and at most, about the longest step, and calls of which the fastest counts.
_FEW, _IMAGES, _LONG_SECONDS, _CALLS = 16, 512, 0.5, 3


@dataclass(frozen=True)
class Job:
    """One job that has not run.

    Attributes:
        part: Its pack or point.
        job: ``train``, ``simulate``, or the name of a probe.
        kind: See `gengap.files.timings.Timing`.
        work: Sample passes through networks, or draws: at most, where cells may stop early.
        seconds: Predicted; None if no job of its kind has run on this machine.
        cells: Of a training job, its networks.
        memory: Of a training job, predicted bytes.
    """

    part: str
    job: str
    kind: str
    work: float
    seconds: float | None
    cells: int = 0
    memory: int = 0


@dataclass(frozen=True)
class Sizes:
    """What a cell's data look like, known before they are made.

    Attributes:
        n_train: Training samples of an epoch.
        n_stored: Training samples that evaluations and probes read.
        n_test: Test samples.
        image_shape: ``(channels, height, width)``.
        n_outputs: Outputs of the network.
    """

    n_train: int
    n_stored: int
    n_test: int
    image_shape: tuple[int, int, int]
    n_outputs: int


Calibrate = Callable[[Architecture, Sequence[Cell], Sizes, int], float]


def sizes(cell: Cell) -> Sizes:
    """Sizes of a cell's data, only from its settings; where a teacher drops images, an upper bound."""
    facts = registry.check("dataset", cell.dataset.name).images
    if facts:
        n_train, n_test, channels, size, n_classes = facts
    else:
        n_train, n_test, channels = cell.dataset.n_train, cell.dataset.n_test, cell.dataset.channels
        size, n_classes = cell.dataset.image_size or 0, 2
    size = cell.dataset.image_size or size
    labels = cell.labels
    if registry.check("labels", labels.name).teacher:
        n_classes = max(2, labels.teacher_outputs if labels.name == "distinct_teacher" else 2)
    elif labels.classes is not None:
        share = len(labels.classes) / n_classes
        n_train, n_test, n_classes = round(n_train * share), round(n_test * share), len(labels.classes)
    n_outputs = losses.n_outputs(cell.loss, n_classes)
    n_stored = labels.train_size or (cell.dataset.stored if cell.dataset.stream else n_train)
    n_train = n_train if cell.dataset.stream else n_stored
    return Sizes(n_train, n_stored, labels.test_size or n_test, (channels, size, size), n_outputs)


def training_kind(cells: Sequence[Cell], threads: int) -> str:
    """What the speed of training these cells together depends on."""
    together = 2 ** round(math.log2(len(cells)))  # a pack of 60 is about as fast, per network, as one of 64
    return _digest(TRAIN, shape_key(cells[0]), together, threads, cells[0].training.evaluate_every)


def training_work(cells: Sequence[Cell], n_train: int) -> float:
    """Training samples that these cells pass through their networks, at most."""
    return float(sum(cell.training.epochs for cell in cells) * n_train)


def probe_kind(probe: Probe, cell: Cell, threads: int) -> str:
    """What the speed of measuring one checkpoint on one sample depends on."""
    options = {key: value for key, value in probe_settings(probe).items() if key not in ("epochs", "samples")}
    return _digest(probe.name, options, cell.dataset, cell.model, cell.loss, threads)


def samples_read(probe: Probe, n_train: int) -> int:
    """Training samples that a probe reads of one checkpoint."""
    return min(probe.samples or n_train, n_train)


def probe_work(probe: Probe, cells: Sequence[Cell], n_train: int) -> float:
    """Samples that the probe reads, over all checkpoints."""
    checkpoints = sum(len(measured_epochs(probe, planned_epochs(cell))) for cell in cells)
    return float(checkpoints * samples_read(probe, n_train))


def simulation_kind(point: Point) -> str:
    """What the speed of one draw depends on."""
    return _digest(SIMULATE, point.model_dump(exclude={"seeds"}))


def jobs(
    study: Study | Simulation,
    waiting: Callable[[str, str], bool],
    known: Mapping[str, float],
    cores: int,
    calibrate: Calibrate | None = None,
) -> list[Job]:
    """The jobs of a study that train, measure or simulate, and have not run.

    Args:
        study: The study or simulation.
        waiting: Whether a part's job has not run.
        known: Seconds per unit of work by kind, from jobs that ran on this machine: `gengap.files.timings.rates`.
        cores: Cores that the workflow may use.
        calibrate: `calibrated`, or what stands for it: called for training of a kind that has not run.
    """
    if isinstance(study, Simulation):
        points = {part: point for name, point in study.points.items() if waiting(part := path_name(name), SIMULATE)}
        return [_job(part, SIMULATE, simulation_kind(point), len(point.seeds), known) for part, point in points.items()]
    found = []
    parts = packs(study)
    threads = max(1, cores // len(parts))
    for part, names in parts.items():
        cells = [study.cells[name] for name in names]
        data = sizes(cells[0])
        if waiting(part, TRAIN):
            found.append(_training_job(part, cells, data, threads, known, calibrate or calibrated))
        for probe in study.probes:
            if waiting(part, probe.name):
                kind, work = probe_kind(probe, cells[0], threads), probe_work(probe, cells, data.n_stored)
                found.append(_job(part, probe.name, kind, work, known))
    return found


def calibrated(arch: Architecture, cells: Sequence[Cell], data: Sizes, threads: int) -> float:
    """Seconds of training and evaluating one pack, from a few uncompiled steps on random images."""
    torch.set_num_threads(threads)
    training = cells[0].training
    batch_size = data.n_train if training.batch_size == "full" else min(training.batch_size, data.n_train)
    few = min(batch_size, _FEW)
    slow = sum(_passes(arch, cells[:1], data, few)) / few
    # As many images and networks as the pack has, unless a step of them would take long.
    count = max(few, min(batch_size, _IMAGES, int(_LONG_SECONDS / slow)))
    together = max(1, min(len(cells), int(_LONG_SECONDS / (slow * count))))
    step, forward = (each / (together * count) for each in _passes(arch, cells[:together], data, count))
    epochs = max(cell.training.epochs for cell in cells)
    steps = epochs * math.ceil(data.n_train / batch_size)
    area = data.image_shape[1] * data.image_shape[2]
    sized = {"n_networks": len(cells), "batch_size": batch_size, "n_steps": steps, "image_area": area}
    compiled = compilation.pays(arch, **sized)
    trained = training_work(cells, data.n_train)
    evaluated = trained / data.n_train / training.evaluate_every * (data.n_stored + data.n_test)
    return (
        _START_SECONDS
        + _COMPILE_SECONDS * compiled
        + trained * (min(_COMPILED * step, _EVALUATIONS * forward) if compiled else step)
        + evaluated * forward
    )


def _passes(arch: Architecture, cells: Sequence[Cell], data: Sizes, count: int) -> tuple[float, float]:
    """Seconds of one training step and of one evaluation of these networks on `count` random images."""
    device = devices.choose("auto")
    dtype = getattr(torch, cells[0].training.weights_dtype)
    images = torch.randn(count, *data.image_shape, dtype=dtype, device=device)
    targets = losses.targets(torch.zeros(count, dtype=torch.int64, device=device), data.n_outputs)
    if losses.needs_teacher(cells[0].loss):
        targets = torch.zeros(count, data.n_outputs, dtype=dtype, device=device)
    state = stack.initial_state(cells, data.image_shape, data.n_outputs, dtype=dtype, device=device)
    pack = pack_state.start([CellResult(str(number), cell, "", 0) for number, cell in enumerate(cells)], arch, state)
    buffer_shapes = random_inputs.buffer_shapes(arch, cells[0], data.image_shape)
    inputs = StepInputs(
        torch.arange(count, device=device).expand(len(cells), -1),
        stacked_settings(cells, dtype=dtype, device=device),
        augmentation.draws(cells, 0, count, device),
        next(iter(random_inputs.draws(cells, buffer_shapes, 0, [count], dtype=dtype, device=device))),
    )
    step = make_step(arch, cells[0])

    def train() -> torch.Tensor:
        return step(pack.networks, images, targets, inputs)[1]

    def evaluate() -> torch.Tensor:
        return evaluation.all_outputs(arch, pack.state(), images, "running", together=True)

    def seconds(work: Callable[[], torch.Tensor]) -> float:
        begin = time.perf_counter()
        work().cpu()
        return time.perf_counter() - begin

    # The first call allocates, and any may be disturbed.
    return min(seconds(train) for _ in range(_CALLS)), min(seconds(evaluate) for _ in range(_CALLS))


def hours(planned: Sequence[Job], cores: int) -> float:
    """Hours until all jobs are done whose time is known, one core for each while there are cores."""
    seconds = [job.seconds for job in planned if job.seconds is not None]
    return max(sum(seconds) / max(1, min(cores, len(seconds))), max(seconds, default=0.0)) / 3600


def describe(planned: Sequence[Job], cores: int) -> list[str]:
    """The plan as lines of text: a table of training jobs, what probes take, and the whole."""
    training = [job for job in planned if job.cells]
    width = max([len("pack"), *(len(job.part) for job in training)])
    lines = [f"  {'pack':{width}}  {'cells':>6}  {'memory':>8}  {'time':>10}"] if training else []
    for job in training:
        lines.append(
            f"  {job.part:{width}}  {job.cells:6}  {job.memory / 1e9:5.1f} GB  {spell(job.seconds or 0.0):>10}"
        )
    others: dict[str, list[Job]] = {}
    for job in planned:
        if not job.cells:
            others.setdefault(job.job, []).append(job)
    unknown = [name for name, group in others.items() if all(job.seconds is None for job in group)]
    for name, group in others.items():
        seconds = [job.seconds for job in group if job.seconds is not None]
        if seconds:
            missing = f", {len(group) - len(seconds)} of them unknown" if len(seconds) < len(group) else ""
            lines.append(f"  {name}: {len(group)} jobs, {spell(sum(seconds))} of one core{missing}")
    if unknown:
        lines.append(f"  not known, since none has run on this machine: {', '.join(unknown)}")
    lines.append(f"  together, as far as is known: {spell(hours(planned, cores) * 3600)} on {cores} cores")
    return lines


def compared(predicted: float, taken: float, when: str) -> str:
    """How far the last prediction was off: seconds, and its moment in ISO form."""
    off = taken / max(predicted, 1e-9) - 1
    moment = f"{when[:16].replace('T', ' ')} UTC"
    return f"  predicted {moment}: {spell(predicted)} for what has run since; it took {spell(taken)} ({off:+.0%})"


def spell(seconds: float) -> str:
    """A duration as one reads it."""
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.1f} min" if minutes >= 1 else f"{seconds:.0f} s"


def predictions(study: str, planned: Sequence[Job]) -> list[Timing]:
    """The plan as lines for `gengap.files.timings.PREDICTIONS`, all of one moment."""
    known = [job for job in planned if job.seconds is not None]
    rows = [Timing(study, job.part, job.job, job.kind, job.work, job.seconds or 0.0) for job in known]
    return [Timing(**{**vars(row), "written": rows[-1].written}) for row in rows]


def _training_job(
    part: str,
    cells: Sequence[Cell],
    data: Sizes,
    threads: int,
    known: Mapping[str, float],
    calibrate: Calibrate,
) -> Job:
    kind, work = training_kind(cells, threads), training_work(cells, data.n_train)
    arch = stack.architecture(models.build(cells[0].model, data.image_shape, data.n_outputs))
    each = memory_budget.predicted_bytes(arch, cells[0], data.image_shape, data.n_stored, data.n_outputs)
    seconds = known[kind] * work if kind in known else calibrate(arch, cells, data, threads)
    return Job(part, TRAIN, kind, work, seconds, len(cells), each * len(cells) + memory_budget.shared_bytes(cells[0]))


def _job(part: str, job: str, kind: str, work: float, known: Mapping[str, float]) -> Job:
    return Job(part, job, kind, work, known[kind] * work if kind in known else None)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
