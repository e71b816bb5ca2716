"""What is allowed and hardly meant: moments that never come or are one moment, a decay that overshoots."""

import math
from collections.abc import Iterator, Sequence

from gengap.studies.settings import Cell, Schedule
from gengap.studies.sizes import Sizes

SHIFT = 4  # pixels, of flip_crop


def unusual(cell: Cell, data: Sizes) -> Iterator[str]:
    """Warnings about one cell.

    Args:
        cell: The cell.
        data: The sizes of its data.
    """
    yield from _of_schedule(cell)
    yield from _of_noise(cell)
    yield from _of_decay(cell)
    if cell.training.augmentation == "flip_crop" and data.image_shape and min(data.image_shape[1:]) <= SHIFT:
        yield (
            f"training.augmentation: flip_crop shifts images by up to {SHIFT} pixels, which leaves nothing of some "
            f"images of {data.image_shape[1]} x {data.image_shape[2]}."
        )
    if data.n_train:
        yield from _of_steps(cell, data.n_train)
        yield from _of_classes(data)


def _of_schedule(cell: Cell) -> Iterator[str]:
    schedule, epochs = cell.schedule, cell.training.epochs
    if schedule.name == "multistep":
        if not schedule.milestones:
            yield "schedule.milestones: is empty, so the learning rate never drops."
        yield from _odd("schedule.milestones", schedule.milestones, epochs, "the learning rate does not drop there")
    if schedule.name == "plateau" and schedule.patience >= epochs:
        yield (
            f"schedule.patience: {schedule.patience} epochs without a rise never pass in {epochs}, so the learning "
            "rate never drops."
        )
    if schedule.name in ("cosine", "linear") and schedule.final == 1:
        yield "schedule.final: 1 leaves the learning rate as it is."
    if schedule.name == "cyclical" and schedule.peak == 1:
        yield "schedule.peak: 1 leaves the learning rate as it is."
    if schedule.warm_up >= epochs and schedule != Schedule():
        yield (
            f"schedule.warm_up: {schedule.warm_up:g} of {epochs} epochs, so the learning rate never is what the "
            "schedule says."
        )


def _of_decay(cell: Cell) -> Iterator[str]:
    """Where the loss is flat, a step multiplies a weight by 1 - lr weight_decay; momentum m widens what is stable."""
    optimizer = cell.optimizer
    if optimizer.name not in ("sgd", "adamw"):
        return
    momentum = optimizer.momentum if optimizer.name == "sgd" and not optimizer.nesterov else 0.0
    product = optimizer.lr * optimizer.weight_decay
    if optimizer.name == "adamw" and 1 < product <= 2:
        yield (
            f"optimizer.weight_decay: {optimizer.weight_decay:g} times optimizer.lr, {optimizer.lr:g}, is "
            f"{product:g}, above 1: every step turns the sign of all weights. Choose less."
        )
    if product > 2 * (1 + momentum):
        yield (
            f"optimizer.weight_decay: {optimizer.weight_decay:g} times optimizer.lr, {optimizer.lr:g}, is "
            f"{product:g}, above {2 * (1 + momentum):g}: the decay alone lets weights grow without bound. Choose less."
        )


def _of_noise(cell: Cell) -> Iterator[str]:
    training = cell.training
    if training.noise_std > 0 and training.noise_factor < 1:
        yield from _odd(
            "training.noise_milestones", training.noise_milestones, training.epochs, "the noise does not fall there"
        )


def _odd(key: str, milestones: Sequence[float], epochs: int, so: str) -> Iterator[str]:
    """Milestones are rounded to whole epochs."""
    reached: dict[int, float] = {}
    for milestone in sorted(milestones):
        epoch = round(milestone * epochs)
        if epoch >= epochs:
            yield f"{key}: {milestone:g} of {epochs} epochs is the end of the last one, so {so}."
        elif epoch == 0:
            yield f"{key}: {milestone:g} of {epochs} epochs is the start of the first one, before any step."
        elif epoch in reached:
            yield f"{key}: {reached[epoch]:g} and {milestone:g} of {epochs} epochs are both the end of epoch {epoch}."
        reached[epoch] = milestone


def _of_steps(cell: Cell, n_train: int) -> Iterator[str]:
    """Of an epoch's steps: what would come between two of them."""
    training = cell.training
    size = training.batch_size
    steps = math.ceil(n_train / min(size, n_train)) if isinstance(size, int) else 1
    if 0 < cell.schedule.warm_up * steps <= 1:
        yield (
            f"schedule.warm_up: {cell.schedule.warm_up:g} epochs are no more than one step, since an epoch has {steps} "
            f"step{'s' * (steps > 1)}."
        )
    if cell.schedule.name == "inverse_lipschitz" and cell.schedule.refresh_steps >= steps * training.epochs:
        yield (
            f"schedule.refresh_steps: {cell.schedule.refresh_steps:,} is as many as all steps, {steps:,} in each of "
            f"{training.epochs:,} epochs, so the curvature is measured at the start only."
        )
    if training.step_batchnorm == "exact" and training.statistics_steps and training.statistics_steps >= steps:
        yield (
            f"training.statistics_steps: an epoch has {steps} step{'s' * (steps > 1)}, so the statistics are not "
            f"measured again after {training.statistics_steps}."
        )
    if training.switch_epoch is not None:
        return
    kept: dict[int, float] = {}
    for at in sorted(at for at in training.snapshots if at <= training.epochs):
        epoch = max(math.ceil(at) - 1, 0)
        step = 0 if at == 0 else epoch * steps + max(1, round((at - epoch) * steps))
        if step in kept:
            yield (
                f"training.snapshots: {_epoch(kept[step])} and {_epoch(at)} are the same weights, since an epoch "
                f"has {steps} step{'s' * (steps > 1)}."
            )
        kept[step] = at


def _epoch(at: float) -> str:
    """An epoch as it is written."""
    return f"{at:g}" if float(f"{at:g}") == at else repr(at)


def _of_classes(data: Sizes) -> Iterator[str]:
    if data.n_train and data.n_classes and data.n_train < data.n_classes:
        yield f"labels.train_size: {data.n_train} training images cannot show all of {data.n_classes} classes."
