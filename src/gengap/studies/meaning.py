"""What settings mean: in one spelling, with what null stands for written out and what has no effect left out."""

import math
import struct
from collections.abc import Sequence
from typing import Any

from gengap import registry
from gengap.studies.settings import After, Cell, Dataset, Init, Labels, Model, Optimizer, Schedule, Training
from gengap.studies.sizes import Sizes

_EPS = {"adam": 1e-8, "adagrad": 1e-10}  # what null stands for, as in PyTorch
_OF_EPOCHS = ("constant", "cosine", "linear", "multistep")  # schedules that no measurement decides


def meaning(settings: Any, data: Sizes, cell: Cell) -> Any:
    """A section as it is meant; two that are equal train the same network.

    Args:
        settings: The section.
        data: The sizes of the cell's data.
        cell: The cell, for what depends on another section.
    """
    update: dict[str, Any] = {}
    if isinstance(settings, Training):
        update = _training(settings, data.n_train)
    elif isinstance(settings, Optimizer):
        meant = _schedule(cell.schedule, cell.training, data.n_train)
        update = _optimizer(settings, cell, changing=meant != Schedule(name="constant"))
    elif isinstance(settings, Schedule):
        return _schedule(settings, cell.training, data.n_train)
    elif isinstance(settings, After):
        update = _after(settings)
    elif isinstance(settings, Init) and cell.after.cell is not None:
        return Init() if cell.after.weights != "fresh" and not cell.after.grow else settings  # the origin's weights
    elif isinstance(settings, Model):
        update = _model(settings)
    elif isinstance(settings, Dataset) and data.image_shape:
        update = {"image_size": data.image_shape[1]}
    elif isinstance(settings, Labels):
        update = _labels(settings, data)
    return settings.model_copy(update=update)


def changes_rate(cell: Cell) -> bool:
    """Whether a cell's learning rate is another one at any step."""
    return cell.schedule.warm_up > 0 or not (cell.schedule.name == "constant" or _is_constant(cell.schedule))


def is_watched(cell: Cell) -> bool:
    """Whether what is recorded while training may decide how it goes on."""
    training = cell.training
    stops = training.stop_accuracy is not None or training.stop_loss is not None
    return stops or cell.schedule.name not in _OF_EPOCHS


def batch(size: int | str, n_train: int | None) -> int | str:
    """The images of a step."""
    if n_train is None:
        return size
    return min(size, n_train) if isinstance(size, int) else n_train


def _is_constant(schedule: Schedule) -> bool:
    """Whether a schedule never changes the learning rate, however long it is."""
    return (schedule.name in ("cosine", "linear") and schedule.final == 1) or (
        schedule.name == "multistep" and not schedule.milestones
    )


def _schedule(schedule: Schedule, training: Training, n_train: int | None) -> Schedule:
    epochs = training.epochs
    drops = _moments(schedule.milestones, epochs)
    constant = (
        schedule.name == "constant"
        or _is_constant(schedule)
        or (schedule.name == "multistep" and not drops)
        or (schedule.name == "plateau" and schedule.patience >= epochs)
        or (schedule.name == "cyclical" and schedule.peak == 1)
    )
    warms = schedule.warm_up > 0 and not (constant and schedule.warm_up_start == 1)
    update: dict[str, Any] = {
        "warm_up": schedule.warm_up if warms else 0.0,
        "warm_up_start": schedule.warm_up_start if warms else 0.0,
    }
    if constant:
        return Schedule(name="constant").model_copy(update=update)
    if schedule.name == "multistep":
        update["milestones"] = drops
    if schedule.name == "inverse_lipschitz" and n_train and training.switch_epoch is None:
        size = batch(training.batch_size, n_train)
        steps = epochs * math.ceil(n_train / size) if isinstance(size, int) else schedule.refresh_steps
        update["refresh_steps"] = min(schedule.refresh_steps, steps)
    return schedule.model_copy(update=update)


def _moments(milestones: Sequence[float], epochs: int) -> tuple[int, ...]:
    """Milestones, which are rounded to whole epochs, without those that are not before the end."""
    return tuple(sorted(epoch for at in milestones if (epoch := round(at * epochs)) < epochs))


def _optimizer(optimizer: Optimizer, cell: Cell, *, changing: bool) -> dict[str, Any]:
    update: dict[str, Any] = {
        "nesterov": optimizer.nesterov and optimizer.momentum > 0,
        "momentum_correction": optimizer.momentum_correction or optimizer.momentum == 0 or not changing,
        "eps": optimizer.eps or _EPS.get(optimizer.name.removesuffix("w")),
    }
    if optimizer.name == "adamw" and optimizer.weight_decay == 0:
        update["name"] = "adam"  # they differ in how weights decay
    if cell.training.weights_dtype == "float32":
        for key in ("lr", "momentum", "beta1", "beta2", "eps", "weight_decay"):
            value = update.get(key, getattr(optimizer, key))
            if value is not None and not (key == "lr" and changing):  # a schedule multiplies before it is rounded
                update[key] = _float32(value)
    return update


def _float32(value: float) -> float:
    """A number as a network that is trained in float32 has it."""
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return value
    return rounded


def _after(after: After) -> dict[str, Any]:
    update: dict[str, Any] = {"origin": ""}  # a name; whose settings are in `cell`
    if len(set(after.prune)) == 1 and after.scope == "layer":
        update["prune"] = after.prune[:1]
    if after.cell is not None and after.weights == after.cell.training.epochs and not is_watched(after.cell):
        update["weights"] = "last"
    return update


def _model(model: Model) -> dict[str, Any]:
    entry = registry.check("model", model.name)
    bare = "batchnorm" in entry.reads and "none" in (model.norm, model.batchnorm)
    update: dict[str, Any] = {"depth": model.depth or entry.depth}
    update |= {"norm": "batch", "batchnorm": "none"} if bare else {}
    if bare or model.norm != "group":
        update["group_size"] = Model.model_fields["group_size"].default
    if entry.external:
        return update
    if bare and "affine" in entry.options:
        update["affine"] = entry.options["affine"].default
    if "proportions" in entry.options:  # the sizes of all layers say what these settings say
        shares = model.proportions or [1.0] * (update["depth"] or 1)
        sizes = tuple(max(1, int(model.width * share + 0.5)) for share in shares)
        update |= {"proportions": sizes, "width": 1, "depth": len(sizes)}
        if model.norm == "group" and not bare:
            update["group_size"] = tuple(_group(size, model.group_size) for size in sizes)
    return update


def _group(features: int, most: int) -> int:
    """How many of a layer's channels or units GroupNorm takes together."""
    return next(size for size in range(min(features, most), 0, -1) if features % size == 0)


def _labels(labels: Labels, data: Sizes) -> dict[str, Any]:
    update: dict[str, Any] = {}
    if data.n_train:
        update = {"train_size": data.n_train, "test_size": data.n_test or labels.test_size}
        update |= {"classes": data.classes} if data.classes is not None else {}
    entry = registry.check("labels", labels.name)
    if "teacher_model" in entry.options and not entry.external and not labels.teacher_proportions:
        update["teacher_depth"] = labels.teacher_depth or registry.check("model", labels.teacher_model).depth
    return update


def _training(training: Training, n_train: int | None) -> dict[str, Any]:
    size = batch(training.batch_size, n_train)
    switched = training.switch_epoch is not None and training.switch_epoch < training.epochs
    restarts = switched and training.restart_at_switch
    switches = switched and (restarts or batch(training.switch_batch_size, n_train) != size)
    noisy = training.noise_std > 0
    fades = _moments(training.noise_milestones, training.epochs)
    fading = noisy and training.noise_factor < 1 and bool(fades)
    every = training.statistics_steps if training.step_batchnorm == "exact" else None
    if every and n_train and not switches and isinstance(size, int) and every >= math.ceil(n_train / size):
        every = None
    return {
        "batch_size": size,
        "switch_epoch": training.switch_epoch if switches else None,
        "switch_batch_size": batch(training.switch_batch_size, n_train) if switches else 1,
        "restart_at_switch": restarts,
        "noise_mode": training.noise_mode if noisy else "shared",
        "noise_factor": training.noise_factor if fading else 1.0,
        "noise_milestones": fades if fading else (),
        "statistics_steps": every,
        "projection": training.projection if training.subspace else "sparse",
        "evaluate_every": min(training.evaluate_every, training.epochs),
        "snapshots": tuple(sorted(at for at in training.snapshots if 0 < at < training.epochs)),
    }
