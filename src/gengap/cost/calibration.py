"""How long a pack would train here, from a few steps on random images: for what has not run on this machine."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from gengap import losses, registry
from gengap.engine import device as devices
from gengap.engine import evaluation, stack
from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training import augmentation, compilation, pack_state, random_inputs
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.step import StepInputs, make_step

# Until a pack of its kind has run here, a compiled step is taken for this share of an eager one, or for so many
# evaluations, whichever is less (9 of them in wide networks to 20 in narrow ones on our own kernels, whose eager steps
# take up to 50 times as long as compiled ones); compiling takes so long.
_COMPILED, _EVALUATIONS, _COMPILE_SECONDS = 0.2, 15.0, 20.0
START_SECONDS = 2.0  # of a job: Snakemake's and gengap's start, and reading the data; libraries are imported once
# Of a calibration: images at first and at most, about the longest step, and calls of which the fastest counts.
_FEW, _IMAGES, _LONG_SECONDS, _CALLS = 16, 512, 0.5, 3


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


def sizes(cell: Cell) -> Sizes:
    """Sizes of a cell's data, from its settings alone; where a teacher drops images, an upper bound."""
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
    trained = float(sum(cell.training.epochs for cell in cells) * data.n_train)
    evaluated = trained / data.n_train / training.evaluate_every * (data.n_stored + data.n_test)
    seconds: float = (
        START_SECONDS
        + _COMPILE_SECONDS * compiled
        + trained * (min(_COMPILED * step, _EVALUATIONS * forward) if compiled else step)
        + evaluated * forward
    )
    return seconds


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
