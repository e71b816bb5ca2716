"""Our own step, as the training loop runs it: gathers, gradients and updates of a whole pack."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from bench import peers
from bench.processes import side_by_side
from gengap import models
from gengap.engine import evaluation, precision, stack
from gengap.engine.stack import Architecture
from gengap.studies.settings import Cell
from gengap.training import augmentation, compilation, masks, pack_state, step_choice
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.step import Step, StepInputs


def pack_loop(
    width: int,
    batch_size: int,
    n_steps: int,
    pack: int,
    device: str = "cpu",
    *,
    compiled: bool = True,
    make: Callable[[Architecture, Cell], Step] | None = None,
) -> Callable[[], float]:
    """Train a pack of Song's networks for `n_steps` steps; returns network-samples per second."""
    images, labels = peers.data(batch_size * n_steps, device)
    cells = [Cell.model_validate({"model": {"width": width}, "seed": seed}) for seed in range(pack)]
    return training_loop(cells, images, labels, 1, batch_size, compiled=compiled, make=make)


def training_loop(
    cells: Sequence[Cell],
    images: Tensor,
    targets: Tensor,
    n_outputs: int,
    batch_size: int,
    *,
    compiled: bool,
    make: Callable[[Architecture, Cell], Step] | None = None,
) -> Callable[[], float]:
    """Train cells of one shape for an epoch on resident data; network-samples/s.

    By the step that `make` makes, or the one that training chooses.
    """
    where, image_shape = images.device, (images.shape[1], images.shape[2], images.shape[3])
    arch = stack.architecture(models.build(cells[0].model, image_shape, n_outputs))
    state = stack.initial_state(cells, image_shape, n_outputs, dtype=torch.float32, device=where)
    pruned = masks.expected(cells, arch, state)
    results = [CellResult(str(cell.seed), cell, "", 0) for cell in cells]
    pack = pack_state.start(results, arch, masks.masked(state, pruned), pruned)
    hyperparameters = stacked_settings(cells, dtype=torch.float32, device=where)
    step = make(arch, cells[0]) if make else step_choice.make(arch, cells[0], image_shape, batch_size, where)
    step = compilation.compiled(step, where) if compiled else compilation.recorded(step, where)

    def run() -> float:
        begin = time.perf_counter()
        orders = torch.stack([torch.randperm(len(images)) for _ in cells]).to(where)
        augmentations = augmentation.draws(cells, 0, len(images), where)
        with precision.tensor_float32(cells[0].training.dtype == "tf32"):
            for index in orders.split(batch_size, dim=1):
                inputs = StepInputs(index, hyperparameters, augmentations, {})
                pack.take(step, images, targets, inputs)
        peers.wait(where)
        return len(cells) * len(images) / (time.perf_counter() - begin)

    return run


def epoch_loop(
    width: int, batch_size: int, n_train: int, n_test: int, pack: int, mode: str = "", *, compiled: bool = True
) -> Callable[[], float]:
    """Train a pack for an epoch, and evaluate it on all training and test images in a BatchNorm mode if one is given.

    Returns network-samples of training per second.
    """
    images, labels = peers.data(n_train + n_test, "cpu")
    cells = [Cell.model_validate({"model": {"width": width}, "seed": seed}) for seed in range(pack)]
    image_shape = (images.shape[1], images.shape[2], images.shape[3])
    arch = stack.architecture(models.build(cells[0].model, image_shape, 1))
    state = stack.initial_state(cells, image_shape, 1, dtype=torch.float32, device=images.device)
    train = training_loop(cells, images[:n_train], labels[:n_train], 1, batch_size, compiled=compiled)

    def run() -> float:
        begin = time.perf_counter()
        train()
        if mode:
            ready, outputs = evaluation.training_outputs(arch, state, images[:n_train], mode)
            evaluation.performance(outputs, labels[:n_train], cells[0].loss)
            outputs = evaluation.all_outputs(arch, ready, images[n_train:], mode, together=True)
            evaluation.performance(outputs, labels[n_train:], cells[0].loss)
        return pack * n_train / (time.perf_counter() - begin)

    return run


def packs_side_by_side(
    width: int, batch_size: int, n_steps: int, pack: int, processes: int, *, compiled: bool = True
) -> AbstractContextManager[Callable[[], float]]:
    """One pack per core, each in its own process with one thread, as the workflow runs a study's packs."""
    samples = pack * batch_size * n_steps
    given = (width, batch_size, n_steps, pack, compiled)
    return side_by_side(_run_prepared, processes=processes, samples=samples, prepare=_prepare, given=given)


_prepared: list[Callable[[], float]] = []


def _prepare(width: int, batch_size: int, n_steps: int, pack: int, compiled: bool) -> None:
    torch.set_num_threads(1)
    _prepared.append(pack_loop(width, batch_size, n_steps, pack, compiled=compiled))
    _prepared[0]()


def _run_prepared() -> float:
    return _prepared[0]()
