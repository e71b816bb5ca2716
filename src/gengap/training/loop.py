"""The one training loop: a single network is a pack of one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gengap import registry
from gengap.engine import evaluation, stack
from gengap.engine.stack import Architecture, State
from gengap.settings import Cell
from gengap.training import compilation
from gengap.training.optimizers import Memory, stacked_settings
from gengap.training.order import order
from gengap.training.progress import Progress
from gengap.training.record import Record
from gengap.training.schedules import Decision
from gengap.training.step import Step, make_step


@dataclass(frozen=True)
class Data:
    """A labelled data set on the device, with targets as the loss wants them."""

    train_images: Tensor
    train_targets: Tensor
    test_images: Tensor
    test_targets: Tensor


@dataclass
class Live:
    """The stack in training; a finished cell keeps its place until the stack is made smaller."""

    records: list[Record]
    decisions: list[Decision]
    parameters: State
    buffers: State
    memory: Memory
    numbers: dict[str, Tensor]

    def state(self) -> State:
        """Parameters and buffers together."""
        return {**self.parameters, **self.buffers}

    def keep(self, places: list[int]) -> None:
        """Drop all but the given places."""
        index = torch.tensor(places, device=next(iter(self.parameters.values())).device)
        self.records = [self.records[place] for place in places]
        self.decisions = [self.decisions[place] for place in places]
        self.parameters = stack.take(self.parameters, index)
        self.buffers = stack.take(self.buffers, index)
        self.memory = {kind: stack.take(part, index) for kind, part in self.memory.items()}
        self.numbers = {name: value[index] for name, value in self.numbers.items()}


def train(records: Sequence[Record], arch: Architecture, state: State, data: Data, *, compile_step: str) -> None:
    """Train all cells of a pack together and fill in their records.

    Args:
        records: One per network, empty; what they share is read from the first.
        arch: Their architecture.
        state: Initial weights ``[K, ...]``, on the device of the data.
        data: The labelled data.
        compile_step: ``auto``, ``on`` or ``off``.
    """
    first = records[0].cell
    live = _start(records, arch, state, first)
    step = make_step(arch, first)
    n_samples = len(data.train_images)
    batch_size = n_samples if first.training.batch_size == "full" else min(first.training.batch_size, n_samples)
    longest = max(record.cell.training.epochs for record in records)
    progress = Progress(longest, len(records))
    fast_step = _faster(step, live, arch, data, batch_size, longest, compile_step)
    _evaluate(live, arch, data, first, 0)
    for record, one in zip(live.records, _unstack(live), strict=True):
        record.checkpoints[0.0] = one
    for epoch in range(longest):
        working = sum(not record.stopped_by for record in live.records)
        live.numbers["lr"] = _learning_rates(live)
        _epoch(live, step, fast_step, data, epoch, batch_size)
        done = epoch + 1
        if done % first.training.evaluate_every == 0 or any(r.cell.training.epochs == done for r in live.records):
            _evaluate(live, arch, data, first, done)
        _finish(live, done)
        waiting = [place for place, record in enumerate(live.records) if not record.stopped_by]
        progress.epoch(done, len(records) - len(waiting), n_samples * working, _summary(records))
        if not waiting:
            break
        # Compiled code is for one size of stack: making it smaller must be worth compiling again.
        if len(waiting) < len(live.records) and (fast_step is step or 2 * len(waiting) <= len(live.records)):
            live.keep(waiting)
            fast_step = _faster(step, live, arch, data, batch_size, longest - done, compile_step)
    progress.close()


def _start(records: Sequence[Record], arch: Architecture, state: State, first: Cell) -> Live:
    parameters = {name: state[name] for name in arch.parameters}
    some = next(iter(parameters.values()))
    return Live(
        records=list(records),
        decisions=[Decision()] * len(records),
        parameters=parameters,
        buffers={name: state[name] for name in arch.buffers},
        memory=registry.load("optimizer", first.optimizer.name).start(parameters),
        numbers=stacked_settings([record.cell for record in records], dtype=some.dtype, device=some.device),
    )


def _faster(
    step: Step, live: Live, arch: Architecture, data: Data, batch_size: int, epochs: int, compile_step: str
) -> Step:
    n_samples, _, height, width = data.train_images.shape
    sizes = {
        "n_networks": len(live.records),
        "batch_size": batch_size,
        "n_steps": epochs * (n_samples // batch_size),
        "image_area": height * width,
    }
    if compile_step == "on" or (compile_step == "auto" and compilation.pays(arch, **sizes)):
        return compilation.compiled(step, data.train_images.device)
    return step


def _epoch(live: Live, step: Step, fast_step: Step, data: Data, epoch: int, batch_size: int) -> None:
    """One pass over the data, every network in its own order; snapshots that fall within it are kept."""
    n_samples = len(data.train_images)
    device = data.train_images.device
    orders = torch.from_numpy(np.stack([order(record.cell.seed, epoch, n_samples) for record in live.records]))
    n_steps = -(-n_samples // batch_size)
    due = _snapshots_within(live.records, epoch, n_steps)
    for number, index in enumerate(orders.to(device).split(batch_size, dim=1), start=1):
        # The last, smaller batch runs uncompiled: its shape is used once per epoch.
        run = fast_step if index.shape[1] == batch_size else step
        live.parameters, live.buffers, live.memory, _ = run(
            live.parameters, live.buffers, live.memory, data.train_images, data.train_targets, index, live.numbers
        )
        for place, at in due.get(number, ()):
            live.records[place].checkpoints[at] = _one(live, place)


def _snapshots_within(records: Sequence[Record], epoch: int, n_steps: int) -> dict[int, list[tuple[int, float]]]:
    """Which places to keep after which step of this epoch: step -> [(place, epoch)]."""
    due: dict[int, list[tuple[int, float]]] = {}
    for place, record in enumerate(records):
        if record.stopped_by:
            continue
        for at in record.cell.training.snapshots:
            if epoch < at <= epoch + 1 and at <= record.cell.training.epochs:
                due.setdefault(max(1, round((at - epoch) * n_steps)), []).append((place, float(at)))
    return due


def _learning_rates(live: Live) -> Tensor:
    rates = [
        record.cell.optimizer.lr * decision.multiplier
        for record, decision in zip(live.records, live.decisions, strict=True)
    ]
    return torch.tensor(rates, dtype=live.numbers["lr"].dtype, device=live.numbers["lr"].device)


def _evaluate(live: Live, arch: Architecture, data: Data, first: Cell, done: int) -> None:
    """Add a row per quantity to every working cell's history."""
    mode = first.training.batchnorm
    state = evaluation.for_mode(arch, live.state(), data.train_images, mode)
    measured: dict[str, Tensor] = {}
    for split, images, targets in (
        ("train", data.train_images, data.train_targets),
        ("test", data.test_images, data.test_targets),
    ):
        outputs = evaluation.all_outputs(arch, state, images, mode)
        found = evaluation.performance(outputs, targets, first.loss)
        measured |= {f"{split}_loss": found["loss"].cpu(), f"{split}_accuracy": found["accuracy"].cpu()}
        if split == "train":
            spread = found["spread"].cpu()
    rates = _learning_rates(live)
    for place, record in enumerate(live.records):
        if record.stopped_by:
            continue
        record.history += [(float(done), name, float(value[place])) for name, value in measured.items()]
        record.history.append((float(done), "lr", float(rates[place])))
        if not np.isfinite(float(measured["train_loss"][place])):
            record.status = "diverged"
        else:
            record.status = "dead" if float(spread[place]) == 0 else "finished"


def _finish(live: Live, done: int) -> None:
    """Decide for every working cell how its next epoch runs, or that it has finished."""
    for place, record in enumerate(live.records):
        if record.stopped_by:
            continue
        training, schedule = record.cell.training, record.cell.schedule
        accuracies = record.train_accuracies()
        decision = registry.load("schedule", schedule.name).decide(schedule, training.epochs, done, accuracies)
        live.decisions[place] = decision
        record.epochs_trained = done
        if record.status == "diverged":
            record.stopped_by = "divergence"
        elif (
            training.stop_accuracy is not None
            and accuracies
            and accuracies[-1] == (done, accuracies[-1][1])
            and (accuracies[-1][1] >= training.stop_accuracy)
        ):
            record.stopped_by = "stop_accuracy"
        elif decision.stop:
            record.stopped_by = "plateau"
        elif done == training.epochs:
            record.stopped_by = "epochs"
        if record.stopped_by:
            record.checkpoints[float(done)] = _one(live, place)


def _one(live: Live, place: int) -> State:
    """The state of one network, on the CPU, independent of the stack."""
    return {name: value[place].detach().to("cpu", copy=True) for name, value in live.state().items()}


def _unstack(live: Live) -> list[State]:
    return [_one(live, place) for place in range(len(live.records))]


def _summary(records: Sequence[Record]) -> str:
    latest = [past[-1][1] for record in records if (past := record.train_accuracies())]
    return f"train accuracy {min(latest):.1%} to {max(latest):.1%}" if latest else "not yet evaluated"
