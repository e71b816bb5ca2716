"""Probes: measurements of trained networks. A new one is one file with `measure` and one registry line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from gengap import losses, models, registry, storage
from gengap.engine import device as devices
from gengap.engine import evaluation, stack, weights
from gengap.errors import UserError
from gengap.labels import LabelledData
from gengap.logs import log
from gengap.probes.subject import Measure, Measured, Subject
from gengap.quantities import QUANTITIES
from gengap.settings import Cell
from gengap.study import Probe

COLUMNS = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
_CHECKPOINTS_AT_ONCE = 64


def measure_pack(
    probe: Probe,
    cells: Mapping[str, Cell],
    weights_path: Path,
    data: LabelledData,
    output: Path,
    *,
    device: str = "auto",
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Measure one probe on a pack's checkpoints.

    Args:
        probe: Which probe, at which epochs, in which BatchNorm mode.
        cells: The pack's cells by name.
        weights_path: Their weights file.
        data: Their labelled data.
        output: HDF5 file of kind ``probe``: table ``measurements``, and table ``failures`` of what could not be
            measured, and why.
        device: ``auto``, ``cpu`` or ``cuda``.
        provenance: Stored in the file.

    Raises:
        UserError: If a file is damaged or of another version.
    """
    measure: Measure = registry.load("probe", probe.name).measure
    target_device = devices.choose(device)
    index = weights.read_index(weights_path)
    chosen = _chosen_rows(probe, cells, index)
    first = next(iter(cells.values()))
    n_outputs = losses.n_outputs(first.loss, data.n_classes)
    image_shape = (data.train_images.shape[1], data.train_images.shape[2], data.train_images.shape[3])
    arch = stack.architecture(models.build(first.model, image_shape, n_outputs))
    start_row = {index.at[row, "cell"]: int(row) for row in index.index[index["epoch"] == 0]}
    dtype = getattr(torch, first.training.dtype)
    images = data.train_images.to(target_device, dtype)
    train_targets = losses.targets(data.train_labels, n_outputs).to(target_device)
    test_images = data.test_images.to(target_device, dtype)
    test_targets = losses.targets(data.test_labels, n_outputs).to(target_device)
    rows: list[tuple[Any, ...]] = []
    failures: list[tuple[str, float, str]] = []
    for at in range(0, len(chosen), _CHECKPOINTS_AT_ONCE):
        part = chosen[at : at + _CHECKPOINTS_AT_ONCE]
        names, epochs = index.loc[part, "cell"].tolist(), index.loc[part, "epoch"].tolist()
        saved = _on(target_device, weights.read_rows(weights_path, part))
        subject = Subject(
            arch=arch,
            state=evaluation.for_mode(arch, saved, images, probe.batchnorm),
            start=_on(target_device, weights.read_rows(weights_path, [start_row[name] for name in names])),
            batchnorm=probe.batchnorm,
            loss=first.loss,
            cells=tuple(cells[name] for name in names),
            train_images=images,
            train_targets=train_targets,
            test_images=test_images,
            test_targets=test_targets,
        )
        for measured in measure(subject):
            rows += _rows(probe, measured, names, epochs)
        log.info("%s: %d of %d checkpoints measured", probe.name, at + len(part), len(chosen))
    failures += [(r[0], r[1], f"{r[3]} is not finite") for r in rows if not r[2] and r[4] - r[4] != 0]
    with storage.writing(output, "probe", {**(provenance or {}), "device": devices.describe(target_device)}) as file:
        units = {"epoch": "epochs"}
        storage.write_table(file, "measurements", pd.DataFrame(rows, columns=COLUMNS), units)
        storage.write_table(file, "failures", pd.DataFrame(failures, columns=["cell", "epoch", "why"]), units)


def _chosen_rows(probe: Probe, cells: Mapping[str, Cell], index: pd.DataFrame) -> list[int]:
    """Row numbers of the checkpoints to measure."""
    known = index[index["cell"].isin(list(cells))]
    missing = set(cells) - set(known["cell"])
    if missing:
        raise UserError(f"the weights file lacks the cell '{min(missing)}'. Remove the file, and train the pack again.")
    last = known["epoch"] == known.groupby("cell")["epoch"].transform("max")
    if probe.epochs == "last":
        known = known[last]
    elif not isinstance(probe.epochs, str):
        known = known[known["epoch"].isin(probe.epochs)]
    return [int(row) for row in known.index]


def _rows(probe: Probe, measured: Measured, names: Sequence[str], epochs: Sequence[float]) -> list[tuple[Any, ...]]:
    if measured.quantity not in QUANTITIES:
        raise KeyError(f"probe '{probe.name}' measured '{measured.quantity}', which gengap.quantities does not name")
    values = measured.values.double().cpu().tolist()
    return [
        (name, float(epoch), measured.layer, measured.quantity, value, probe.batchnorm, probe.name)
        for name, epoch, value in zip(names, epochs, values, strict=True)
    ]


def _on(device: torch.device, state: stack.State) -> stack.State:
    return {name: value.to(device) for name, value in state.items()}
