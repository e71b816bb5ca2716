"""Training packs of cells."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from gengap import losses, models
from gengap.engine import device as devices
from gengap.engine import stack
from gengap.engine.evaluation import initialization
from gengap.engine.stack import Architecture
from gengap.errors import UserError
from gengap.files import cell_locks
from gengap.labels import LabelledData
from gengap.logs import log
from gengap.studies.settings import Cell, Loss
from gengap.training import cell_result, cell_store, loop, memory_budget, pack_state, resume
from gengap.training.cell_result import CellResult

_NAMED = 5  # cells that a warning names


def train_pack(
    cells: Mapping[str, Cell],
    data: LabelledData,
    weights: Path,
    history: Path,
    *,
    store_folder: Path | None = None,
    device: str = "auto",
    compile_step: str = "auto",
    save_seconds: float = resume.INTERVAL_SECONDS,
    memory_limit: int | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> int:
    """Train the cells of a pack, except those that its files or the store already hold.

    Args:
        cells: Settings by name; they must share all that `gengap.studies.packing.shape_key` names.
        data: Their labelled data.
        weights: HDF5 file of checkpoints, replaced as a whole.
        history: HDF5 file of learning curves and cell facts, replaced as a whole.
        store_folder: Finished cells of all studies, and packs that were interrupted; None keeps none.
        device: ``auto``, ``cpu`` or ``cuda``.
        compile_step: ``auto`` compiles where the work is worth it; ``on``; ``off``.
        save_seconds: How often an unfinished pack is saved.
        memory_limit: Bytes that this process may take on a CPU; None: what is free. A pack that would take more is
            trained in parts.
        provenance: Stored in both files.

    Returns:
        Training samples that passed through networks in this call, summed over networks and epochs.

    Raises:
        UserError: If the loss does not fit the labels, a file cannot be written, or the process was asked to end.
    """
    target_device = devices.choose(device)
    first = next(iter(cells.values()))
    n_outputs = losses.n_outputs(first.loss, data.n_classes)
    image_shape = (data.train_images.shape[1], data.train_images.shape[2], data.train_images.shape[3])
    arch = stack.architecture(models.build(first.model, image_shape, n_outputs))
    digest = data.digest_for(first.loss)
    identities = {name: cell_result.identity(cell, digest) for name, cell in cells.items()}
    done = _finished(cells, identities, weights, history, store_folder)
    log.info("%d of %d cells are to be trained, %d were found finished", len(cells) - len(done), len(cells), len(done))
    savers: list[resume.Saver] = []
    passed = 0
    if len(done) < len(cells):
        dtype = getattr(torch, first.training.weights_dtype)
        arrays = on_device(data, first.loss, dtype, target_device)

        def train(names: Sequence[str]) -> None:
            nonlocal passed
            while missing := {n: cells[n] for n in names if n not in done}:
                with _claimed(store_folder, [identities[n] for n in missing]) as mine:
                    wanted = {n: cell for n, cell in missing.items() if identities[n] in mine}
                    done.update(_stored(wanted, identities, store_folder))  # by another job, since we looked
                    todo = [
                        CellResult(n, cell, identities[n], arch.n_parameters)
                        for n, cell in wanted.items()
                        if n not in done
                    ]
                    if not todo:
                        continue
                    # Known by all of its cells: those that are in the store already change no name.
                    saver = resume.Saver(_unfinished(store_folder, [identities[n] for n in names]), save_seconds)
                    saved = resume.read(saver.path, todo, target_device)
                    networks, results = saved or _fresh(todo, arch, arrays, n_outputs)
                    with saver.listening():
                        passed += loop.train(networks, results, arch, arrays, saver, compile_step=compile_step)
                    done.update({r.name: r for r in results if r.name in cells})
                    if store_folder:
                        for r in results:
                            cell_store.put(store_folder, r)
                    _warn(results)
                    savers.append(saver)

        each = memory_budget.predicted_bytes(arch, first, image_shape, len(data.train_images), n_outputs)
        free = memory_budget.free_bytes(target_device, memory_limit)
        memory_budget.in_parts(list(cells), each, memory_budget.shared_bytes(first), free, train)
    where = {**(provenance or {}), "device": devices.describe(target_device), "data_digest": digest}
    cell_result.write([done[name] for name in cells], weights, history, image_shape, n_outputs, where)
    for saver in savers:
        saver.remove()
    return passed


def _warn(results: Sequence[CellResult]) -> None:
    """Name cells that did not finish; of hundreds, the first."""
    for status in ("dead", "diverged"):
        if found := [f"{r.name} after {r.epochs_trained} epochs" for r in results if r.status == status]:
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            log.warning(
                "%d of %d cells are %s: %s%s", len(found), len(results), status, "; ".join(found[:_NAMED]), more
            )


def on_device(data: LabelledData, loss: Loss, dtype: torch.dtype, device: torch.device) -> loop.Data:
    """Move a labelled data set to the device, its labels or the teacher's outputs as the loss wants them."""
    train_targets, test_targets = data.targets(loss)
    return loop.Data(
        train_images=data.train_images.to(device, dtype),
        train_targets=train_targets.to(device),
        test_images=data.test_images.to(device, dtype),
        test_targets=test_targets.to(device),
    )


def _fresh(
    results: list[CellResult], arch: Architecture, data: loop.Data, n_outputs: int
) -> tuple[pack_state.PackState, list[CellResult]]:
    cells = [result.cell for result in results]
    state = initialization.start(arch, cells, data.train_images, data.train_targets, n_outputs)
    return pack_state.start(results, arch, state), results


def _finished(
    cells: Mapping[str, Cell], identities: Mapping[str, str], weights: Path, history: Path, store_folder: Path | None
) -> dict[str, CellResult]:
    """Cells that an earlier run of the same code on the same data has trained."""
    found: dict[str, CellResult] = {}
    if weights.exists() and history.exists():
        try:
            found = cell_result.read(cells, weights, history)
        except UserError as error:
            log.warning("%s Its cells are looked for in the store, or trained again.", error)
    done = {name: found[name] for name in cells if name in found and found[name].identity == identities[name]}
    return done | _stored({n: cell for n, cell in cells.items() if n not in done}, identities, store_folder)


def _stored(
    cells: Mapping[str, Cell], identities: Mapping[str, str], store_folder: Path | None
) -> dict[str, CellResult]:
    if store_folder is None:
        return {}
    found = {name: cell_store.get(store_folder, identities[name], name, cell) for name, cell in cells.items()}
    return {name: one for name, one in found.items() if one is not None}


def _claimed(store_folder: Path | None, wanted: Sequence[str]) -> AbstractContextManager[list[str]]:
    """Identities that no other job with this store trains meanwhile; waits if they are all being trained."""
    return cell_locks.claimed(store_folder / "claims", wanted) if store_folder else nullcontext(list(wanted))


def _unfinished(store_folder: Path | None, identities: Sequence[str]) -> Path | None:
    """Where cells that are trained together are saved while they are."""
    if store_folder is None:
        return None
    digest = hashlib.sha256("".join(sorted(identities)).encode()).hexdigest()
    return store_folder / "unfinished" / f"{digest}.h5"
