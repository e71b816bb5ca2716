"""Training packs of cells."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gengap import losses, models
from gengap.engine import device as devices
from gengap.engine import stack
from gengap.errors import UserError
from gengap.labels import LabelledData
from gengap.logs import log
from gengap.settings import Cell
from gengap.training import loop, record


def train_pack(
    cells: Mapping[str, Cell],
    data: LabelledData,
    weights: Path,
    history: Path,
    *,
    device: str = "auto",
    compile_step: str = "auto",
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Train the cells of a pack, except those that the two files already hold.

    Args:
        cells: Settings by name; they must share all that `gengap.packing.shape_key` names.
        data: Their labelled data.
        weights: HDF5 file of checkpoints, replaced as a whole.
        history: HDF5 file of learning curves and cell facts, replaced as a whole.
        device: ``auto``, ``cpu`` or ``cuda``.
        compile_step: ``auto`` compiles where the work is worth it; ``on``; ``off``.
        provenance: Stored in both files.

    Raises:
        UserError: If the loss does not fit the labels, or a file cannot be written.
    """
    target_device = devices.choose(device)
    first = next(iter(cells.values()))
    n_outputs = losses.n_outputs(first.loss, data.n_classes)
    image_shape = (data.train_images.shape[1], data.train_images.shape[2], data.train_images.shape[3])
    arch = stack.architecture(models.build(first.model, image_shape, n_outputs))
    identities = {name: record.identity(cell, data.digest) for name, cell in cells.items()}
    finished = _finished(cells, identities, weights, history)
    todo = [name for name in cells if name not in finished]
    log.info("%d of %d cells are to be trained, %d were found finished", len(todo), len(cells), len(finished))
    fresh = [record.Record(name, cells[name], identities[name], arch.n_parameters) for name in todo]
    if fresh:
        dtype = getattr(torch, first.training.dtype)
        state = stack.initial_state([r.cell for r in fresh], image_shape, n_outputs, dtype=dtype, device=target_device)
        loop.train(fresh, arch, state, on_device(data, n_outputs, dtype, target_device), compile_step=compile_step)
    done = finished | {r.name: r for r in fresh}
    where = {**(provenance or {}), "device": devices.describe(target_device), "data_digest": data.digest}
    record.write([done[name] for name in cells], weights, history, image_shape, n_outputs, where)
    for r in fresh:
        if r.status != "finished":
            log.warning("cell %s is %s after %d epochs", r.name, r.status, r.epochs_trained)


def on_device(data: LabelledData, n_outputs: int, dtype: torch.dtype, device: torch.device) -> loop.Data:
    """Move a labelled data set to the device and its labels to what a loss of `n_outputs` wants."""
    return loop.Data(
        train_images=data.train_images.to(device, dtype),
        train_targets=losses.targets(data.train_labels, n_outputs).to(device),
        test_images=data.test_images.to(device, dtype),
        test_targets=losses.targets(data.test_labels, n_outputs).to(device),
    )


def _finished(
    cells: Mapping[str, Cell], identities: Mapping[str, str], weights: Path, history: Path
) -> dict[str, record.Record]:
    """Cells that an earlier run of the same code on the same data has trained."""
    if not (weights.exists() and history.exists()):
        return {}
    try:
        found = record.read(cells, weights, history)
    except UserError as error:
        log.warning("%s Its cells are trained again.", error)
        return {}
    return {name: found[name] for name in cells if name in found and found[name].identity == identities[name]}
