"""Our own step, as the training loop runs it: gathers, gradients and updates of a whole pack."""

import atexit
import multiprocessing
import time
from collections.abc import Callable

import torch

from bench import peers
from gengap import models
from gengap.engine import stack
from gengap.settings import Cell
from gengap.training import compilation, live
from gengap.training.optimizers import stacked_settings
from gengap.training.record import Record
from gengap.training.step import make_step


def pack_loop(
    width: int, batch_size: int, n_steps: int, pack: int, device: str = "cpu", *, compiled: bool = True
) -> Callable[[], float]:
    """Train a pack for `n_steps` steps; returns network-samples per second."""
    images, labels = peers.data(batch_size * n_steps, device)
    cells = [Cell.model_validate({"model": {"width": width}, "seed": seed}) for seed in range(pack)]
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 1))
    where = torch.device(device)
    state = stack.initial_state(cells, (3, 8, 8), 1, dtype=torch.float32, device=where)
    networks = live.start([Record(str(cell.seed), cell, "", 0) for cell in cells], arch, state)
    numbers = stacked_settings(cells, dtype=torch.float32, device=where)
    step = make_step(arch, cells[0])
    if compiled:
        step = compilation.compiled(step, where)

    def run() -> float:
        begin = time.perf_counter()
        orders = torch.stack([torch.randperm(len(images)) for _ in range(pack)]).to(where)
        for index in orders.split(batch_size, dim=1):
            networks.parameters, networks.buffers, networks.memory, _ = step(
                networks.parameters, networks.buffers, networks.memory, images, labels, index, numbers, {}, {}
            )
        if device != "cpu":
            torch.cuda.synchronize()
        return pack * batch_size * n_steps / (time.perf_counter() - begin)

    return run


def packs_side_by_side(
    width: int, batch_size: int, n_steps: int, pack: int, processes: int, *, compiled: bool = True
) -> Callable[[], float]:
    """One pack per core, each in its own process with one thread, as the workflow runs a study's packs."""
    context = multiprocessing.get_context("spawn")
    pool = context.Pool(processes, _prepare, (width, batch_size, n_steps, pack, compiled))
    atexit.register(pool.terminate)

    def run() -> float:
        begin = time.perf_counter()
        pool.starmap(_run_prepared, [()] * processes, chunksize=1)
        return processes * pack * batch_size * n_steps / (time.perf_counter() - begin)

    return run


_prepared: list[Callable[[], float]] = []


def _prepare(width: int, batch_size: int, n_steps: int, pack: int, compiled: bool) -> None:
    torch.set_num_threads(1)
    _prepared.append(pack_loop(width, batch_size, n_steps, pack, compiled=compiled))
    _prepared[0]()


def _run_prepared() -> float:
    return _prepared[0]()
