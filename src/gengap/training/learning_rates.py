"""The learning rate of every network: what its schedule decides, over the measured curvature if it asks for that."""

import math

import torch
from torch import Tensor

from gengap import registry, seeding
from gengap.engine import stack
from gengap.engine.objective import Objective
from gengap.engine.stack import Architecture
from gengap.training.cell_result import CellResult
from gengap.training.pack_state import PackState
from gengap.training.schedules import Decision

# Cost of a product of the Hessian with a vector, in gradients of the same samples: the gradient's own forward and
# backward pass, and a pass of derivatives beside each (Pearlmutter 1994, section 3). Measured, uncompiled on one core:
# 2.7 times the time of a gradient (Song's network at width 4, 30,000 images).
PRODUCT_COST = 2
_TOLERANCE, _PRODUCTS = 1e-3, 30  # of Lanczos' method: relative error, and most products per measurement


def decision(result: CellResult, done: int) -> Decision:
    """What the cell's schedule says after so many epochs."""
    if done == 0 and result.cell.schedule.name != "inverse_lipschitz":
        return Decision()
    schedule = result.cell.schedule
    decided: Decision = registry.load("schedule", schedule.name).decide(
        schedule, result.cell.training.epochs, done, result.train_accuracies()
    )
    return decided


def learning_rates(pack: PackState) -> list[float]:
    """The learning rate of every slot in the next step."""
    return [_rate(pack, slot) for slot in range(len(pack.results))]


def _rate(pack: PackState, slot: int) -> float:
    result = pack.results[slot]
    decided = decision(result, pack.epoch)
    rate = result.cell.optimizer.lr * decided.multiplier
    if not decided.over_curvature:
        return rate
    largest, most = pack.curvature[slot], result.cell.schedule.max_lr
    # Where no direction curves upwards, 1 / L is no guide; not a number stays what it is, and the cell diverges.
    return min(rate / largest, most) if largest > 0 or math.isnan(largest) else most


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
        steps_done: Steps done since the start.

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
    from gengap.engine.hessian import eigenvalues  # and with it SciPy, which few schedules need

    cells = [pack.results[slot].cell for slot in due]
    objective = Objective(
        arch=arch,
        state=stack.take(pack.state(), torch.tensor(due, device=images.device)),
        images=images,
        targets=targets,
        loss=cells[0].loss,
        through_batch=cells[0].training.step_batchnorm == "batch",
        batch_size=batch_size,
    )
    largest, used = eigenvalues.largest_eigenvalue(
        objective,
        tolerance=_TOLERANCE,
        iterations=_PRODUCTS,
        seeds=[seeding.torch_seed(cell.seed, seeding.CURVATURE) for cell in cells],
    )
    for slot, value, products in zip(due, largest.tolist(), used, strict=True):
        pack.curvature[slot] = value
        pack.products[slot] += products
    return True


def gradient_evaluations(pack: PackState, slot: int) -> float:
    """What one network's training has cost after the epochs done, in gradients of the whole training set.

    A pass over the data counts as 1 for every batch size, and a product of the Hessian with a vector as 2.
    Measurements that no step needs, and of BatchNorm's statistics, count nothing.
    """
    return float(pack.epoch + PRODUCT_COST * pack.products[slot])
