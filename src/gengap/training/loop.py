"""The one training loop: a single network is a pack of one."""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gengap.engine import evaluation
from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training import augmentation, compilation, learning_rates, random_inputs, statistics
from gengap.training.cell_result import CellResult
from gengap.training.data_order import order
from gengap.training.optimizers import stacked_settings
from gengap.training.pack_state import PackState
from gengap.training.progress import Progress
from gengap.training.resume import Saver
from gengap.training.step import Step, make_step


@dataclass(frozen=True)
class Data:
    """A labelled data set on the device, with targets as the loss wants them."""

    train_images: Tensor
    train_targets: Tensor
    test_images: Tensor
    test_targets: Tensor


def train(
    live: PackState, records: Sequence[CellResult], arch: Architecture, data: Data, saver: Saver, *, compile_step: str
) -> int:
    """Train all cells of a pack together and fill in their records.

    Args:
        live: The stack, before its first step or as it was saved.
        records: Of all cells, also of those that have left the stack; what they share is read from the first.
        arch: Their architecture.
        data: The labelled data.
        saver: Saves the pack between steps.
        compile_step: ``auto``, ``on`` or ``off``.

    Returns:
        Training samples that passed through networks, summed over networks and epochs.
    """
    first = records[0].cell
    n_samples = len(data.train_images)
    longest = max(record.cell.training.epochs for record in records)
    step = make_step(arch, first)
    channels, height, width = data.train_images.shape[1:]
    places = random_inputs.places(arch, first, (channels, height, width))
    compiled_step = functools.cache(lambda: compilation.compiled(step, data.train_images.device))
    decide = functools.partial(_compile, arch, data, _batch_size(first, 0, n_samples), compile_step)
    progress = Progress(longest, len(records), live.epoch)
    if not any(record.checkpoints for record in records):
        live.compiled = decide(len(live.records), longest)
        statistics.refresh(live, arch, data.train_images, first)
        learning_rates.refresh(live, arch, data.train_images, data.train_targets, _batch_size(first, 0, n_samples), 0)
        _evaluate(live, arch, data, first)
        for place, record in enumerate(live.records):
            record.checkpoints[0.0] = live.one(place)
    while live.waiting():
        working = len(live.waiting())
        run = compiled_step() if live.compiled else step
        _epoch(live, records, arch, step, run, data, _batch_size(first, live.epoch, n_samples), places, saver)
        live.epoch, live.step = live.epoch + 1, 0
        statistics.refresh(live, arch, data.train_images, first)
        if _evaluation_is_due(live):
            _evaluate(live, arch, data, first)
        _finish(live)
        left = live.waiting()
        progress.epoch(live.epoch, sum(bool(r.stopped_by) for r in records), n_samples * working, _summary(records))
        # Compiled code is for one size of stack: making it smaller must be worth compiling again.
        if left and len(left) < len(live.records) and (not live.compiled or 2 * len(left) <= len(live.records)):
            live.keep(left)
            live.compiled = decide(len(left), longest - live.epoch)
    return progress.samples


def _batch_size(cell: Cell, done: int, n_samples: int) -> int:
    """Samples per step in the epoch that follows `done` epochs."""
    training = cell.training
    if training.switch_epoch is not None and done >= training.switch_epoch:
        return min(training.switch_batch_size, n_samples)
    return n_samples if training.batch_size == "full" else min(training.batch_size, n_samples)


def _compile(arch: Architecture, data: Data, batch_size: int, wanted: str, n_networks: int, epochs: int) -> bool:
    """Whether to compile the step for this many networks and the epochs that are left."""
    if wanted != "auto":
        return wanted == "on"
    n_samples, _, height, width = data.train_images.shape
    n_steps = epochs * (n_samples // batch_size)
    return compilation.pays(
        arch, n_networks=n_networks, batch_size=batch_size, n_steps=n_steps, image_area=height * width
    )


def _epoch(
    live: PackState,
    records: Sequence[CellResult],
    arch: Architecture,
    step: Step,
    fast_step: Step,
    data: Data,
    batch_size: int,
    places: random_inputs.Places,
    saver: Saver,
) -> None:
    """The rest of one pass over the data, every network in its own order; snapshots that fall within it are kept."""
    n_samples = len(data.train_images)
    some = next(iter(live.parameters.values()))
    cells = [record.cell for record in live.records]
    numbers = stacked_settings(cells, dtype=some.dtype, device=some.device)
    numbers["lr"] = torch.tensor(learning_rates.learning_rates(live), dtype=some.dtype, device=some.device)
    orders = torch.from_numpy(np.stack([order(r.cell.seed, live.epoch, n_samples) for r in live.records]))
    batches = orders.to(some.device).split(batch_size, dim=1)
    changes = augmentation.draws(cells, live.epoch, n_samples, some.device)
    sizes = [index.shape[1] for index in batches]
    drawn = random_inputs.draws(cells, places, live.epoch, sizes, dtype=some.dtype, device=some.device)
    due = _snapshots_within(live, len(batches))
    before = sum(math.ceil(n_samples / _batch_size(cells[0], done, n_samples)) for done in range(live.epoch))
    for index, field in itertools.islice(zip(batches, drawn, strict=True), live.step, None):
        saver.step(live, records)
        if live.step:  # at an epoch's start they have been measured, for its evaluation
            statistics.refresh(live, arch, data.train_images, cells[0])
        steps_done = before + live.step
        if steps_done and learning_rates.refresh(
            live, arch, data.train_images, data.train_targets, batch_size, steps_done
        ):
            numbers["lr"] = torch.tensor(learning_rates.learning_rates(live), dtype=some.dtype, device=some.device)
        # The last, smaller batch runs uncompiled: its shape is used once per epoch.
        run = fast_step if index.shape[1] == batch_size else step
        live.parameters, live.buffers, live.memory, _ = run(
            live.parameters,
            live.buffers,
            live.memory,
            data.train_images,
            data.train_targets,
            index,
            numbers,
            changes,
            field,
        )
        live.step += 1
        if live.step in due:
            kept = statistics.measured(live, arch, data.train_images, cells[0])
            for place, at in due[live.step]:
                live.records[place].checkpoints[at] = kept.one(place)


def _snapshots_within(live: PackState, n_steps: int) -> dict[int, list[tuple[int, float]]]:
    """Which places to keep after which step of this epoch: step -> [(place, epoch)]."""
    due: dict[int, list[tuple[int, float]]] = {}
    for place in live.waiting():
        training = live.records[place].cell.training
        for at in training.snapshots:
            if live.epoch < at <= live.epoch + 1 and at <= training.epochs:
                due.setdefault(max(1, round((at - live.epoch) * n_steps)), []).append((place, float(at)))
    return due


def _evaluation_is_due(live: PackState) -> bool:
    training = [live.records[place].cell.training for place in live.waiting()]
    return any(live.epoch % one.evaluate_every == 0 or live.epoch == one.epochs for one in training)


def _evaluate(live: PackState, arch: Architecture, data: Data, first: Cell) -> None:
    """Add a row per quantity to every working cell's history."""
    mode = first.training.batchnorm
    state, train_outputs = evaluation.training_outputs(arch, live.state(), data.train_images, mode)
    test_outputs = evaluation.all_outputs(arch, state, data.test_images, mode, together=True)
    train = evaluation.performance(train_outputs, data.train_targets, first.loss)
    test = evaluation.performance(test_outputs, data.test_targets, first.loss)
    spread = train["spread"].tolist()
    columns = {
        "train_loss": train["loss"].tolist(),
        "train_accuracy": train["accuracy"].tolist(),
        "test_loss": test["loss"].tolist(),
        "test_accuracy": test["accuracy"].tolist(),
        "l2_penalty": _l2_penalties(live),
        "lr": learning_rates.learning_rates(live),
    }
    for place in live.waiting():
        record = live.records[place]
        record.history += [(float(live.epoch), name, values[place]) for name, values in columns.items()]
        if not math.isnan(live.curvature[place]):
            record.history.append((float(live.epoch), "hessian_largest", live.curvature[place]))
        if live.products[place]:
            record.history.append(
                (float(live.epoch), "gradient_evaluations", learning_rates.gradient_evaluations(live, place))
            )
        if not np.isfinite(columns["train_loss"][place]):
            record.status = "diverged"
        else:
            record.status = "dead" if spread[place] == 0 else "finished"


def _l2_penalties(live: PackState) -> list[float]:
    squares = [value.double().flatten(1).square().sum(dim=1) for value in live.parameters.values()]
    total = torch.stack(squares).sum(dim=0).tolist()
    return [r.cell.optimizer.weight_decay / 2 * square for r, square in zip(live.records, total, strict=True)]


def _finish(live: PackState) -> None:
    """Mark the cells that need no further epoch, and keep their weights."""
    for place in live.waiting():
        record = live.records[place]
        record.epochs_trained = live.epoch
        record.stopped_by = _reason_to_stop(record, live.epoch)
        if record.stopped_by:
            record.checkpoints[float(live.epoch)] = live.one(place)


def _reason_to_stop(record: CellResult, done: int) -> str:
    training = record.cell.training
    latest = {quantity: value for epoch, quantity, value in record.history[-8:] if epoch == done}
    if record.status == "diverged":
        return "divergence"
    if training.stop_accuracy is not None and latest.get("train_accuracy", -1.0) >= training.stop_accuracy:
        return "stop_accuracy"
    if training.stop_loss is not None and latest.get("train_loss", float("inf")) <= training.stop_loss:
        return "stop_loss"
    if learning_rates.decision(record, done).stop:
        return "plateau"
    return "epochs" if done == training.epochs else ""


def _summary(records: Sequence[CellResult]) -> str:
    latest = [past[-1][1] for record in records if (past := record.train_accuracies())]
    return f"train accuracy {min(latest):.1%} to {max(latest):.1%}" if latest else "not yet evaluated"
