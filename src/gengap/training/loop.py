"""The one training loop: a single network is a pack of one."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gengap.engine import evaluation, precision
from gengap.engine.stack import Architecture
from gengap.labels.patching import Patches
from gengap.progress import Pace, Progress
from gengap.studies.settings import Cell
from gengap.training import (
    augmentation,
    compilation,
    learning_rates,
    patches,
    random_inputs,
    statistics,
    step_choice,
    step_cost,
)
from gengap.training.cell_result import CellResult
from gengap.training.data_order import order
from gengap.training.data_stream import DataStream
from gengap.training.optimizers import stacked_settings
from gengap.training.pack_state import PackState
from gengap.training.resume import Saver
from gengap.training.step import Step, StepInputs


@dataclass(frozen=True)
class Data:
    """A labelled data set on the device, with targets as the loss wants them.

    Attributes:
        train_images: ``[N, C, H, W]``; those on which training is evaluated.
        train_targets: ``[N]``, or ``[N, n_outputs]``.
        test_images: As `train_images`.
        test_targets: As `train_targets`.
        stream: What draws the images of every step, where they are not stored.
        patches: What steps make their images of, if not of `train_images`.
    """

    train_images: Tensor
    train_targets: Tensor
    test_images: Tensor
    test_targets: Tensor
    stream: DataStream | None = None
    patches: Patches | None = None

    @property
    def n_samples(self) -> int:
        """Training samples of an epoch."""
        return self.stream.n_samples if self.stream else len(self.train_images)


@dataclass(frozen=True)
class _Job:
    """What stays the same while the cells of a pack are trained.

    Attributes:
        results: Of all cells, also of those that have left the stack.
        arch: Their architecture.
        data: The labelled data.
        saver: Saves the pack between steps.
        step: The step, uncompiled.
        buffer_shapes: Where a step's draws enter.
    """

    results: Sequence[CellResult]
    arch: Architecture
    data: Data
    saver: Saver
    step: Step
    buffer_shapes: random_inputs.BufferShapes

    @property
    def shared(self) -> Cell:
        """A cell, for the settings that all of them share."""
        return self.results[0].cell

    def batch_size(self, done: int) -> int:
        """Samples per step in the epoch that follows `done` epochs."""
        return _batch_size(self.shared, done, self.data.n_samples)

    @functools.cached_property
    def compiled_step(self) -> Step:
        """The step, compiled when it is first asked for."""
        return compilation.compiled(self.step, self.data.train_images.device)

    @functools.cached_property
    def recorded_step(self) -> Step:
        """The step, uncompiled, as the device runs it fastest."""
        return compilation.recorded(self.step, self.data.train_images.device)

    def pays_to_compile(self, n_networks: int, epochs: int) -> bool:
        """Whether compiling the step pays for this many networks and the epochs that are left."""
        images, batch_size = self.data.train_images, self.batch_size(0)
        shape = (images.shape[1], images.shape[2], images.shape[3])
        n_steps = epochs * (self.data.n_samples // batch_size)
        sizes = {"n_networks": n_networks, "batch_size": batch_size, "n_steps": n_steps}
        if images.is_cuda:
            bandwidth = step_cost.gpu_bandwidth(images.device)
            return step_cost.pays_on_gpu(self.arch, shape, bandwidth=bandwidth, **sizes)
        return step_choice.pays_to_compile(self.arch, self.shared, shape, **sizes)


def train(
    pack: PackState,
    results: Sequence[CellResult],
    arch: Architecture,
    data: Data,
    saver: Saver,
    *,
    compile_step: str,
    step: str,
) -> Pace:
    """Train all cells of a pack together and fill in their results.

    Args:
        pack: The stack, before its first step or as it was saved.
        results: Of all cells, also of those that have left the stack; what they share is read from the first.
        arch: Their architecture.
        data: The labelled data.
        saver: Saves the pack between steps.
        compile_step: ``auto``, ``on`` or ``off``.
        step: ``stacked``, ``fused``, ``plain`` or ``auto``; see `gengap.training.RunOptions`.

    Returns:
        Training samples that passed through networks, summed over networks and epochs, and their time.
    """
    first = results[0].cell
    channels, height, width = data.train_images.shape[1:]
    longest = max(result.cell.training.epochs for result in results)
    buffer_shapes = random_inputs.buffer_shapes(arch, first, (channels, height, width))
    batch_size = _batch_size(first, 0, data.n_samples)
    made = step_choice.make(arch, first, (channels, height, width), batch_size, data.train_images.device, step)
    job = _Job(results, arch, data, saver, made, buffer_shapes)

    def compiles(n_networks: int, epochs: int) -> bool:
        return job.pays_to_compile(n_networks, epochs) if compile_step == "auto" else compile_step == "on"

    progress = Progress("epoch", longest, "samples", pack.epoch)
    if not any(result.checkpoints for result in results):
        pack.compiled = compiles(len(pack.results), longest)
        statistics.refresh(pack, arch, data.train_images, first)
        learning_rates.refresh(pack, arch, data.train_images, data.train_targets, job.batch_size(0), 0)
        _evaluate(pack, job, pack.waiting())
        for slot, result in enumerate(pack.results):
            result.checkpoints[0.0] = pack.one(slot)
    while pack.waiting():
        working = len(pack.waiting())
        _epoch(pack, job)
        pack.epoch, pack.step = pack.epoch + 1, 0
        statistics.refresh(pack, arch, data.train_images, first)
        if due := _due_for_evaluation(pack):
            _evaluate(pack, job, due)
        _finish(pack)
        left = pack.waiting()
        finished = f"{sum(bool(result.stopped_by) for result in results)}/{len(results)} cells finished"
        progress.advance(pack.epoch, data.n_samples * working, finished, _summary(results), last=not left)
        # Compiled code is for one size of stack: making it smaller must be worth compiling again.
        if left and len(left) < len(pack.results) and (not pack.compiled or 2 * len(left) <= len(pack.results)):
            pack.keep(left)
            pack.compiled = compiles(len(left), longest - pack.epoch)
    return progress.pace()


def _batch_size(cell: Cell, done: int, n_samples: int) -> int:
    """Samples per step in the epoch that follows `done` epochs."""
    training = cell.training
    if training.switch_epoch is not None and done >= training.switch_epoch:
        return min(training.switch_batch_size, n_samples)
    return n_samples if training.batch_size == "full" else min(training.batch_size, n_samples)


def _epoch(pack: PackState, job: _Job) -> None:
    """The rest of one pass over the data, every network in its own order; snapshots that fall within it are kept.

    Streamed data have no order: an epoch is so many fresh images.
    """
    arch, data, cells = job.arch, job.data, [result.cell for result in pack.results]
    training = job.shared.training
    if restarts := training.restart_at_switch and (pack.epoch, pack.step) == (training.switch_epoch, 0):
        pack.restart()
    n_samples, batch_size = data.n_samples, job.batch_size(pack.epoch)
    some = next(iter(pack.networks.parameters.values()))
    hyperparameters = stacked_settings(cells, dtype=some.dtype, device=some.device)
    sizes = [min(batch_size, n_samples - at) for at in range(0, n_samples, batch_size)]
    augmentations = augmentation.draws(cells, pack.epoch, n_samples, some.device)
    augmentations |= patches.draws(cells, data.patches, pack.epoch)
    rates = learning_rates.epoch_rates(pack, len(sizes), like=some)
    drawn = random_inputs.draws(cells, job.buffer_shapes, pack.epoch, sizes, dtype=some.dtype, device=some.device)
    due = _snapshots_within(pack, len(sizes))
    before = sum(math.ceil(n_samples / job.batch_size(done)) for done in range(pack.epoch))
    fast_step = job.compiled_step if pack.compiled else job.recorded_step
    images, targets, batches = _batches(pack, data, sizes)
    for index, buffers in zip(batches, itertools.islice(drawn, pack.step, None), strict=True):
        job.saver.step(pack, job.results)
        if pack.step:  # at an epoch's start they have been measured, for its evaluation
            statistics.refresh(pack, arch, data.train_images, cells[0])
        steps_done = before + pack.step
        # Other weights have another curvature, whenever the next measurement was to be.
        since = 0 if restarts and not pack.step else steps_done
        if steps_done and learning_rates.refresh(pack, arch, data.train_images, data.train_targets, batch_size, since):
            rates = learning_rates.epoch_rates(pack, len(sizes), like=some)
        hyperparameters["lr"] = rates[pack.step]
        # The last, smaller batch runs uncompiled: its shape is used once per epoch.
        step = fast_step if index.shape[1] == batch_size else job.step
        inputs = StepInputs(index, hyperparameters, augmentations, buffers)
        with precision.tensor_float32(training.dtype == "tf32"):
            pack.take(step, images, targets, inputs)
        pack.step += 1
        if pack.step in due:
            kept = statistics.measured(pack, arch, data.train_images, cells[0])
            for slot, at in due[pack.step]:
                pack.results[slot].checkpoints[at] = kept.one(slot)


def _batches(pack: PackState, data: Data, sizes: Sequence[int]) -> tuple[Tensor, Tensor, Iterable[Tensor]]:
    """The resident images and targets of an epoch's steps, and each step's ``[K, B]`` of them, from `pack.step` on."""
    seeds = [result.cell.seed for result in pack.results]
    if data.stream:
        return data.stream.images, data.stream.targets, data.stream.epoch(seeds, pack.epoch, sizes, pack.step)
    orders = torch.from_numpy(np.stack([order(seed, pack.epoch, len(data.train_images)) for seed in seeds]))
    batches = orders.to(data.train_images.device).split(list(sizes), dim=1)
    images = data.train_images if data.patches is None else data.patches.images
    return images, data.train_targets, batches[pack.step :]


def _snapshots_within(pack: PackState, n_steps: int) -> dict[int, list[tuple[int, float]]]:
    """Which slots to keep after which step of this epoch: step -> [(slot, epoch)]."""
    due: dict[int, list[tuple[int, float]]] = {}
    for slot in pack.waiting():
        training = pack.results[slot].cell.training
        for at in training.snapshots:
            if pack.epoch < at <= pack.epoch + 1 and at <= training.epochs:
                due.setdefault(max(1, round((at - pack.epoch) * n_steps)), []).append((slot, float(at)))
    return due


def _due_for_evaluation(pack: PackState) -> list[int]:
    """Slots of the working cells to evaluate after this epoch; those of others decide nothing for a cell."""
    training = {slot: pack.results[slot].cell.training for slot in pack.waiting()}
    return [s for s, own in training.items() if pack.epoch % own.evaluate_every == 0 or pack.epoch == own.epochs]


def _evaluate(pack: PackState, job: _Job, due: Sequence[int]) -> None:
    """Add a row per quantity to the history of the cells in these slots."""
    arch, data, loss, mode = job.arch, job.data, job.shared.loss, job.shared.training.batchnorm
    state, train_outputs = evaluation.training_outputs(arch, pack.state(), data.train_images, mode)
    test_outputs = evaluation.all_outputs(arch, state, data.test_images, mode, together=True)
    train = evaluation.performance(train_outputs, data.train_targets, loss)
    test = evaluation.performance(test_outputs, data.test_targets, loss)
    spread = train["spread"].tolist()
    columns = {
        "train_loss": train["loss"].tolist(),
        "train_accuracy": train["accuracy"].tolist(),
        "test_loss": test["loss"].tolist(),
        "test_accuracy": test["accuracy"].tolist(),
        "l2_penalty": _l2_penalties(pack),
        "lr": learning_rates.learning_rates(pack),
    }
    for slot in due:
        result = pack.results[slot]
        result.history += [(float(pack.epoch), name, values[slot]) for name, values in columns.items()]
        if not math.isnan(pack.curvature[slot]):
            result.history.append((float(pack.epoch), "hessian_largest", pack.curvature[slot]))
        if pack.products[slot]:
            result.history.append(
                (float(pack.epoch), "gradient_evaluations", learning_rates.gradient_evaluations(pack, slot))
            )
        if not np.isfinite(columns["train_loss"][slot]):
            result.status = "diverged"
        else:
            result.status = "dead" if spread[slot] == 0 else "finished"


def _l2_penalties(pack: PackState) -> list[float]:
    squares = [value.double().flatten(1).square().sum(dim=1) for value in pack.networks.parameters.values()]
    total = torch.stack(squares).sum(dim=0).tolist()
    return [r.cell.optimizer.weight_decay / 2 * square for r, square in zip(pack.results, total, strict=True)]


def _finish(pack: PackState) -> None:
    """Mark the cells that need no further epoch, and keep their weights."""
    for slot in pack.waiting():
        result = pack.results[slot]
        result.epochs_trained = pack.epoch
        result.stopped_by = _reason_to_stop(result, pack.epoch)
        if result.stopped_by:
            result.checkpoints[float(pack.epoch)] = pack.one(slot)


def _reason_to_stop(result: CellResult, done: int) -> str:
    training = result.cell.training
    latest = {quantity: value for epoch, quantity, value in result.history[-8:] if epoch == done}
    if result.status == "diverged":
        return "divergence"
    if training.stop_accuracy is not None and latest.get("train_accuracy", -1.0) >= training.stop_accuracy:
        return "stop_accuracy"
    if training.stop_loss is not None and latest.get("train_loss", float("inf")) <= training.stop_loss:
        return "stop_loss"
    if learning_rates.decision(result, done).stop:
        return "plateau"
    return "epochs" if done == training.epochs else ""


def _summary(results: Sequence[CellResult]) -> str:
    latest = [past[-1][1] for result in results if (past := result.train_accuracies())]
    return f"train accuracy {min(latest):.1%} to {max(latest):.1%}" if latest else "not yet evaluated"
