"""The learning rate of every network: what its schedule decides, over the measured curvature if it asks for that."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from gengap import registry, seeding
from gengap.engine import stack
from gengap.engine.objective import Objective
from gengap.engine.stack import Architecture, State
from gengap.studies.settings import Cell, Schedule
from gengap.training.cell_result import CellResult
from gengap.training.pack_state import PackState
from gengap.training.schedules import Accuracies, Decision

# Cost of a product of the Hessian with a vector, in gradients of the same samples: the gradient's own forward and
# backward pass, and a pass of derivatives beside each (Pearlmutter 1994, section 3).
PRODUCT_COST = 2
_TOLERANCE, _PRODUCTS = 1e-3, 30  # of Lanczos' method: relative error, and most products per measurement
_USUAL_PRODUCTS = 16  # what a measurement takes, about


def decision(result: CellResult, done: float) -> Decision:
    """What the cell's schedule says after so many epochs."""
    return _decided(result.cell, done, result.train_accuracies())


def learning_rates(pack: PackState) -> list[float]:
    """The learning rate of every slot in the epoch's first step."""
    return [_rates(pack, slot, 1)[0] for slot in range(len(pack.results))]


def epoch_rates(pack: PackState, n_steps: int, like: Tensor) -> list[Tensor]:
    """The learning rates of every step of the epoch, each ``[K]``.

    They are a number within the epoch unless a cell warms up or its schedule decides before every step. A warm-up
    multiplies what the schedule says by a line from `warm_up_start` to 1 (Goyal et al. 2017, arXiv:1706.02677, section
    2.2), from step to step: large batches have few steps an epoch, and some warm up for less than one.

    Args:
        pack: The stack.
        n_steps: Steps of the epoch.
        like: Gives dtype and device.
    """
    changing = any(_changes_within_epoch(result.cell, pack.epoch) for result in pack.results)
    columns = [_rates(pack, slot, n_steps if changing else 1) for slot in range(len(pack.results))]
    rows = [like.new_tensor(row) for row in zip(*columns, strict=True)]
    return rows if changing else rows * n_steps  # the same tensor, which a recorded step need not copy again


def _rates(pack: PackState, slot: int, n_steps: int) -> list[float]:
    """The learning rate of one network in each of the epoch's steps."""
    result = pack.results[slot]
    cell, accuracies = result.cell, result.train_accuracies()
    every_step = _changes_within_epoch(cell, pack.epoch)
    found: list[float] = []
    for step in range(n_steps if every_step else 1):
        at = pack.epoch + step / n_steps
        decided = _decided(cell, at if _decides_every_step(cell) else pack.epoch, accuracies)
        rate = cell.optimizer.lr * decided.multiplier
        if decided.over_curvature:
            largest, most = pack.curvature[slot], cell.schedule.max_lr
            # Where no direction curves upwards, 1 / L is no guide. Not a number stays what it is: the cell diverges.
            rate = min(rate / largest, most) if largest > 0 or math.isnan(largest) else most
        found.append(rate * _warm_up(cell.schedule, at))
    return found if every_step else found * n_steps


def _decided(cell: Cell, done: float, accuracies: Accuracies) -> Decision:
    """What a schedule says, given the past."""
    schedule = cell.schedule
    decided: Decision = registry.load("schedule", schedule.name).decide(
        schedule, cell.training.epochs, done, accuracies
    )
    return decided


def _decides_every_step(cell: Cell) -> bool:
    return getattr(registry.load("schedule", cell.schedule.name), "EVERY_STEP", False)


def _changes_within_epoch(cell: Cell, epoch: int) -> bool:
    return epoch < cell.schedule.warm_up or _decides_every_step(cell)


def _warm_up(settings: Schedule, done: float) -> float:
    """The multiplier of a warm-up after so many epochs."""
    if done >= settings.warm_up:
        return 1.0
    return settings.warm_up_start + (1 - settings.warm_up_start) * done / settings.warm_up


def refresh(
    pack: PackState, arch: Architecture, images: Tensor, targets: Tensor, batch_size: int, steps_done: int
) -> bool:
    """Measure the curvature of the networks whose schedule asks for it before the next step.

    L is the largest eigenvalue of the Hessian of what training minimises: the mean loss over the whole training set,
    each batch of `batch_size` samples normalised by its own statistics, or all by constants where the steps do so;
    without augmentation, noise or dropout.

    Args:
        pack: The stack; its `curvature` and `products` are updated.
        arch: Its architecture.
        images: The training images ``[N, C, H, W]``.
        targets: Their targets.
        batch_size: Samples per step.
        steps_done: Steps done since the start; 0 after new weights.

    Returns:
        Whether any was measured.
    """
    due = [
        slot
        for slot in pack.waiting()
        if decision(pack.results[slot], pack.epoch).over_curvature
        and steps_done % pack.results[slot].cell.schedule.refresh_steps == 0
    ]
    if not due:
        return False
    cells = [pack.results[slot].cell for slot in due]
    state = stack.take(pack.state(), torch.tensor(due, device=images.device))
    largest, used = curvature(cells, arch, state, images, targets, batch_size)
    for slot, value, products in zip(due, largest.tolist(), used, strict=True):
        pack.curvature[slot] = value
        pack.products[slot] += products
    return True


def curvature(
    cells: Sequence[Cell], arch: Architecture, state: State, images: Tensor, targets: Tensor, batch_size: int
) -> tuple[Tensor, list[int]]:
    """The largest eigenvalue of the Hessian of what training minimises, as `refresh` has it.

    Args:
        cells: The settings of K networks.
        arch: Their architecture.
        state: Their stacked state.
        images: The training images ``[N, C, H, W]``.
        targets: Their targets.
        batch_size: Samples per step.

    Returns:
        The eigenvalues ``[K]``, float64, and how many products with the Hessian each network took.
    """
    from gengap.engine.hessian import eigenvalues  # and with it SciPy, which few schedules need

    objective = Objective(
        arch=arch,
        state=state,
        images=images,
        targets=targets,
        loss=cells[0].loss,
        through_batch=cells[0].training.step_batchnorm == "batch",
        batch_size=batch_size,
    )
    return eigenvalues.largest_eigenvalue(
        objective,
        tolerance=_TOLERANCE,
        iterations=_PRODUCTS,
        seeds=[seeding.torch_seed(cell.seed, seeding.CURVATURE) for cell in cells],
    )


def expected_products(cell: Cell, n_steps: int) -> float:
    """Products of the Hessian with a vector that so many steps take, about; 0 if the cell's schedule measures nothing.

    The Hessian's mean is over the whole training set.
    """
    if "refresh_steps" not in registry.check("schedule", cell.schedule.name).reads:
        return 0.0
    return _USUAL_PRODUCTS * math.ceil(n_steps / cell.schedule.refresh_steps)


def one_that_measures(cells: Iterable[Cell]) -> Cell:
    """A cell whose schedule measures curvature, if there is one; else the first."""
    return max(cells, key=lambda cell: expected_products(cell, 1))


def gradient_evaluations(pack: PackState, slot: int) -> float:
    """What one network's training has cost after the epochs done, in gradients of the whole training set.

    A pass over the data counts as 1 for every batch size, and a product of the Hessian with a vector as 2.
    Measurements that no step needs, and of BatchNorm's statistics, count nothing.
    """
    return float(pack.epoch + PRODUCT_COST * pack.products[slot])
