"""How long a pack would train here, from a few steps on random images: for what has not run on this machine."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from gengap import losses, registry
from gengap.engine import device as devices
from gengap.engine import evaluation, stack
from gengap.engine.stack import Architecture, State
from gengap.files.timings import Timing
from gengap.studies.settings import Cell
from gengap.training import augmentation, learning_rates, masks, pack_state, random_inputs, step_choice
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.plain_step import forward_operations
from gengap.training.sparse_step import is_sparse
from gengap.training.step import StepInputs

# Until a pack of its kind has run here, a compiled step is taken for a share of an eager one (that by which compiling
# is decided, and at least this), or for so many evaluations, whichever is less: 9 of them in wide networks to 20 in
# narrow ones on our own kernels, whose eager steps take up to 50 times as long as compiled ones. So long is compiling.
_COMPILED, _EVALUATIONS, _COMPILE_SECONDS = 0.2, 15.0, 20.0
START_SECONDS = 2.0  # of a job: Snakemake's and gengap's start, and reading the data; libraries are imported once
# Of a calibration: images at first and at most, about the longest step, and calls of which the fastest counts.
_FEW, _IMAGES, _LONG_SECONDS, _CALLS = 16, 512, 0.5, 3
_EVALUATED = 2048  # images, of networks with few weights left
_AT_MOST = 5.0  # seconds that a plan measures speeds; the one that is being measured is finished
_T = TypeVar("_T")


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
    reads = registry.check("labels", labels.name).reads
    if "teacher_outputs" in reads or "margin" in reads:
        n_classes = max(2, labels.teacher_outputs if "teacher_outputs" in reads else 2)
    elif labels.classes is not None:
        share = len(labels.classes) / n_classes
        n_train, n_test, n_classes = round(n_train * share), round(n_test * share), len(labels.classes)
    n_outputs = losses.n_outputs(cell.loss, n_classes)
    n_stored = labels.train_size or (cell.dataset.stored if cell.dataset.stream else n_train)
    n_train = n_train if cell.dataset.stream else n_stored
    return Sizes(n_train, n_stored, labels.test_size or n_test, (channels, size, size), n_outputs)


@dataclass(frozen=True)
class Training:
    """What a pack has to train.

    Attributes:
        arch: The architecture of its networks.
        cells: The settings of each.
        data: Sizes of their data.
        threads: Cores that the job takes.
    """

    arch: Architecture
    cells: Sequence[Cell]
    data: Sizes
    threads: int

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        chosen = self.cells[0].training.batch_size
        return self.data.n_train if chosen == "full" else min(chosen, self.data.n_train)

    @property
    def operations(self) -> float:
        """Floating-point operations of one image's pass through one network, with the weights that are left if few."""
        return operations(self.arch, self.data.image_shape) * (sum(self.left) / len(self.left) if self.left else 1.0)

    @property
    def left(self) -> tuple[float, ...]:
        """Share of the weights of each network that is left, where its step is on these alone; else nothing."""
        sparse = _takes_sparse_steps(self.arch, self.cells)
        return tuple(sorted(cell.after.left for cell in self.cells)) if sparse else ()

    @property
    def speed_depends_on(self) -> tuple[object, ...]:
        """Equal for packs of equal speed, whatever their data show and how many there are."""
        cell, data = self.cells[0], self.data
        shapes = data.image_shape, data.n_outputs, self.batch_size, len(self.cells), self.threads
        return *shapes, self.left, cell.model, cell.loss, cell.optimizer.name, cell.training, self.measures_curvature

    @property
    def measures_curvature(self) -> bool:
        """Whether a schedule needs products with the Hessian."""
        return any(learning_rates.expected_products(cell, 1) for cell in self.cells)

    @property
    def compiles(self) -> bool:
        """Whether its steps are compiled."""
        return self._pays(len(self.cells), max(cell.training.epochs for cell in self.cells))

    def compiled(self, ran: Timing) -> bool:
        """Whether the steps of a job of this kind that has run were compiled."""
        return self._pays(ran.networks, round(ran.work / ran.networks / self.data.n_train))

    def step_seconds(self, n_networks: int, *, batch_size: int | None = None, compiled: bool | None = None) -> float:
        """What a step takes, as a ratio to others; by default one of the pack's own batches, compiled if it is."""
        sizes = {"n_networks": n_networks, "batch_size": self.batch_size if batch_size is None else batch_size}
        compiled = self.compiles if compiled is None else compiled
        return step_choice.step_seconds(self.arch, self.cells[0], self.data.image_shape, **sizes, compiled=compiled)

    @property
    def compiled_share(self) -> float:
        """What a compiled step takes of an uncompiled one."""
        seconds = [self.step_seconds(len(self.cells), compiled=compiled) for compiled in (True, False)]
        return max(_COMPILED, seconds[0] / seconds[1])

    def _pays(self, n_networks: int, epochs: int) -> bool:
        """As `gengap.training.loop` decides it on a CPU."""
        sizes = {"n_networks": n_networks, "batch_size": self.batch_size}
        n_steps = epochs * (self.data.n_train // self.batch_size)
        return step_choice.pays_to_compile(self.arch, self.cells[0], self.data.image_shape, **sizes, n_steps=n_steps)


@dataclass(frozen=True)
class _Speed:
    """Seconds per image and network of an uncompiled training step, an evaluation and a product with the Hessian."""

    step: float
    forward: float
    product: float = 0.0


def calibrated(trainings: Sequence[Training]) -> list[float]:
    """Seconds of training and evaluating each of these packs, from a few uncompiled steps on random images.

    Of packs whose speeds differ, the smallest and the largest networks are measured first, then those between, until
    that has taken `_AT_MOST` seconds. The others have the speed of the nearest one measured, in proportion to their
    operations.
    """
    distinct = {training.speed_depends_on: training for training in trainings}
    sizes_of = {key: one.operations for key, one in distinct.items()}
    measured: dict[tuple[object, ...], _Speed] = {}
    begin = time.perf_counter()
    for key in _spread(sorted(distinct, key=sizes_of.__getitem__)):
        late = time.perf_counter() - begin > _AT_MOST
        new = distinct[key].measures_curvature and not any(distinct[other].measures_curvature for other in measured)
        if new or not (measured and late):
            measured[key] = _measured(distinct[key])

    def speed(training: Training) -> _Speed:
        own = training.speed_depends_on
        if own in measured:
            return measured[own]
        images = training.batch_size
        nearest = min(
            measured,
            key=lambda other: (
                training.measures_curvature and not distinct[other].measures_curvature,
                abs(math.log(sizes_of[own] / sizes_of[other])) + abs(math.log(images / distinct[other].batch_size)),
            ),
        )
        factor = sizes_of[own] / sizes_of[nearest]
        return _Speed(*(factor * seconds for seconds in dataclasses.astuple(measured[nearest])))

    return [_seconds(training, speed(training)) for training in trainings]


def _spread(ordered: Sequence[_T]) -> list[_T]:
    """The first, the last, the middle, the middles of both halves and so on: whatever is cut off is between others."""
    found, gaps = [*ordered[:1], *ordered[1:][-1:]], [(0, len(ordered) - 1)]
    for low, high in gaps:  # grows
        if high - low > 1:
            middle = (low + high) // 2
            found.append(ordered[middle])
            gaps += [(low, middle), (middle, high)]
    return found


@functools.cache  # packs of a grid share architectures
def operations(arch: Architecture, image_shape: tuple[int, int, int]) -> float:
    """Floating-point operations of one image's pass through one network; at least 1."""
    return max(1.0, forward_operations(arch, image_shape))


def _measured(training: Training) -> _Speed:
    arch, cells, data = training.arch, training.cells, training.data
    torch.set_num_threads(training.threads)
    few = min(training.batch_size, _FEW)
    least = sum(_passes(arch, cells[:1], data, few))

    def long(n_networks: int, n_images: int) -> bool:
        more = training.step_seconds(n_networks, batch_size=n_images, compiled=False)
        return least * more / training.step_seconds(1, batch_size=few, compiled=False) > _LONG_SECONDS

    # As many images and networks as the pack has, unless a step of them would take long.
    count, together = min(training.batch_size, _IMAGES), len(cells)
    while together > 1 and long(together, count):
        together = (together + 1) // 2
    while count > few and long(together, count):
        count = max(few, count // 2)
    step, forward = (each / (together * count) for each in _passes(arch, cells[:together], data, count))
    return _Speed(step, forward, _product_seconds(training) if training.measures_curvature else 0.0)


def _seconds(training: Training, speed: _Speed) -> float:
    """Of the whole job, compiled where that pays."""
    cells, data = training.cells, training.data
    compiled = training.compiles
    trained = float(sum(cell.training.epochs for cell in cells) * data.n_train)
    evaluated = trained / data.n_train / cells[0].training.evaluate_every * (data.n_stored + data.n_test)
    epoch_steps = math.ceil(data.n_train / training.batch_size)
    products = sum(learning_rates.expected_products(cell, cell.training.epochs * epoch_steps) for cell in cells)
    seconds: float = (
        START_SECONDS
        + _COMPILE_SECONDS * compiled
        + trained
        * (min(training.compiled_share * speed.step, _EVALUATIONS * speed.forward) if compiled else speed.step)
        + evaluated * speed.forward
        + products * data.n_train * speed.product
    )
    return seconds


def _passes(arch: Architecture, cells: Sequence[Cell], data: Sizes, count: int) -> tuple[float, float]:
    """Seconds of one training step and of one evaluation of these networks on `count` random images."""
    state, images, targets = _start(cells, data, count)
    device, dtype = images.device, images.dtype
    results = [CellResult(str(number), cell, "", 0) for number, cell in enumerate(cells)]
    pruned = masks.expected(cells, arch, state)
    pack = pack_state.start(results, arch, masks.masked(state, pruned), pruned)
    buffer_shapes = random_inputs.buffer_shapes(arch, cells[0], data.image_shape)
    inputs = StepInputs(
        torch.arange(count, device=device).expand(len(cells), -1),
        stacked_settings(cells, dtype=dtype, device=device),
        augmentation.draws(cells, 0, count, device),
        next(iter(random_inputs.draws(cells, buffer_shapes, 0, [count], dtype=dtype, device=device))),
    )
    step = step_choice.make(arch, cells[0], data.image_shape, count, device)

    def train() -> torch.Tensor:
        return pack.take(step, images, targets, inputs)

    # Where the weights that are left are is found once per call, whatever the number of images.
    times = math.ceil(_EVALUATED / count) if _takes_sparse_steps(arch, cells) else 1
    evaluated = images.repeat(times, 1, 1, 1)

    def evaluate() -> torch.Tensor:
        return evaluation.all_outputs(arch, pack.state(), evaluated, "running", together=True)

    # The first call allocates, and any may be disturbed.
    on_cpu = device.type == "cpu"
    step_seconds, seconds = (min(_taken(work, on_cpu) for _ in range(_CALLS)) for work in (train, evaluate))
    return step_seconds, seconds / times


def _takes_sparse_steps(arch: Architecture, cells: Sequence[Cell]) -> bool:
    """Whether this machine trains these networks with the weights that are left alone; a GPU masks whole matrices."""
    return devices.choose("auto").type == "cpu" and is_sparse(arch, cells[0])


def _product_seconds(training: Training) -> float:
    """Seconds per image of one product with the Hessian, of those that its largest eigenvalue takes."""
    first, count = training.cells[0], min(training.batch_size, _IMAGES)
    products = 0

    def measure() -> torch.Tensor:
        nonlocal products
        largest, (products,) = learning_rates.curvature([first], training.arch, state, images, targets, count)
        return largest

    while True:
        state, images, targets = _start([first], training.data, count)
        on_cpu = images.device.type == "cpu"
        seconds = min(_taken(measure, on_cpu) for _ in range(_CALLS))
        if seconds > _LONG_SECONDS or count == training.batch_size:
            return seconds / (count * products)
        count = min(training.batch_size, 4 * count)  # few images take more time each


def _start(cells: Sequence[Cell], data: Sizes, count: int) -> tuple[State, torch.Tensor, torch.Tensor]:
    """Untrained networks, random images and their targets."""
    device = devices.choose("auto")
    dtype = getattr(torch, cells[0].training.weights_dtype)
    images = torch.randn(count, *data.image_shape, dtype=dtype, device=device)
    targets = losses.targets(torch.zeros(count, dtype=torch.int64, device=device), data.n_outputs)
    if losses.needs_teacher(cells[0].loss):
        targets = torch.zeros(count, data.n_outputs, dtype=dtype, device=device)
    return stack.initial_state(cells, data.image_shape, data.n_outputs, dtype=dtype, device=device), images, targets


def _taken(work: Callable[[], torch.Tensor], on_cpu: bool) -> float:
    """Seconds of a call; on a CPU not more than it computed: other programs, which may end soon, do not count."""
    begin, computed = time.perf_counter(), time.process_time()
    work().cpu()
    seconds, computed = time.perf_counter() - begin, time.process_time() - computed
    return min(seconds, computed) if on_cpu else seconds
