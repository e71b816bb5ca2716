"""The weights of a pack's cells at their saved epochs: one HDF5 file, tensors and plain text only.

``checkpoints`` lists one row per (cell, epoch); ``weights/<name>`` holds that tensor for all rows, ``[rows, ...]``.
``cells`` holds every cell's settings as JSON, so that a network can be built from the file only, and the digest of its
weights.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gengap.engine.stack import State
from gengap.errors import UserError, unknown_name
from gengap.files import storage

Checkpoints = dict[float, State]


def write(
    path: Path,
    checkpoints: Mapping[str, Checkpoints],
    settings: Mapping[str, Mapping[str, Any]],
    image_shape: tuple[int, int, int],
    n_outputs: int,
    provenance: Mapping[str, Any],
) -> None:
    """Write all checkpoints of a pack.

    Args:
        path: The file, replaced as a whole.
        checkpoints: Per cell and epoch the state of one network, tensors on the CPU.
        settings: Per cell its settings, as `Cell.model_dump`.
        image_shape: ``(channels, height, width)``.
        n_outputs: Outputs of every network.
        provenance: See `gengap.provenance.record`.
    """
    rows = [(cell, epoch) for cell, saved in checkpoints.items() for epoch in sorted(saved)]
    with storage.writing(path, "weights", provenance) as file:
        file.attrs["image_shape"] = image_shape
        file.attrs["n_outputs"] = n_outputs
        storage.write_table(file, "checkpoints", pd.DataFrame(rows, columns=["cell", "epoch"]), {"epoch": "epochs"})
        described = [
            (cell, json.dumps(settings[cell], sort_keys=True), digest(saved)) for cell, saved in checkpoints.items()
        ]
        storage.write_table(file, "cells", pd.DataFrame(described, columns=["cell", "settings", "digest"]))
        group = file.create_group("weights")
        for name in checkpoints[rows[0][0]][rows[0][1]]:
            group.create_dataset(name, data=np.stack([checkpoints[cell][epoch][name].numpy() for cell, epoch in rows]))


def read(path: Path) -> dict[str, Checkpoints]:
    """Read all checkpoints that `write` wrote."""
    return read_with_provenance(path)[0]


def read_with_provenance(path: Path) -> tuple[dict[str, Checkpoints], dict[str, Any]]:
    """Read all checkpoints that `write` wrote, and the provenance."""
    with storage.reading(path, "weights") as file:
        provenance = storage.provenance_of(file)
        index = storage.read_table(file, "checkpoints")
        tensors = {name: torch.from_numpy(array) for name, array in storage.read_arrays(file["weights"]).items()}
    checkpoints: dict[str, Checkpoints] = {}
    for row, (cell, epoch) in enumerate(zip(index["cell"], index["epoch"], strict=True)):
        checkpoints.setdefault(cell, {})[float(epoch)] = {name: value[row] for name, value in tensors.items()}
    return checkpoints, provenance


def read_index(path: Path) -> pd.DataFrame:
    """One row per checkpoint: cell, epoch; the row number is what `read_rows` takes."""
    with storage.reading(path, "weights") as file:
        return storage.read_table(file, "checkpoints")


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Every cell's settings, as they were when it was trained; for `Cell.model_validate`."""
    with storage.reading(path, "weights") as file:
        described = storage.read_table(file, "cells")
    return {cell: json.loads(settings) for cell, settings in zip(described["cell"], described["settings"], strict=True)}


def digest(checkpoints: Checkpoints) -> str:
    """sha256 of a cell's weights at all its saved epochs."""
    total = hashlib.sha256()
    for epoch, state in sorted(checkpoints.items(), key=lambda item: item[0]):
        for name, value in sorted(state.items(), key=lambda item: item[0]):
            array = value.numpy()
            total.update(f"{float(epoch)!r} {name} {array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def read_digests(path: Path) -> dict[str, str]:
    """The `digest` of every cell."""
    with storage.reading(path, "weights") as file:
        described = storage.read_table(file, "cells")
    if "digest" in described:
        return dict(zip(described["cell"], described["digest"], strict=True))
    return {cell: digest(saved) for cell, saved in read(path).items()}  # of a version that kept none


def read_rows(path: Path, rows: Sequence[int]) -> State:
    """The stacked state of the chosen checkpoints, ``[len(rows), ...]``, on the CPU."""
    with storage.reading(path, "weights") as file:
        chosen = list(rows)
        return {name: torch.from_numpy(array[chosen]) for name, array in storage.read_arrays(file["weights"]).items()}


def read_cell(
    path: Path, cell: str, epoch: float | None = None
) -> tuple[dict[str, Any], tuple[int, int, int], int, dict[str, Tensor]]:
    """One cell's network at one saved epoch.

    Args:
        path: The pack's weights file.
        cell: Name of the cell.
        epoch: A saved epoch; None takes the last.

    Returns:
        The cell's settings (for `Cell.model_validate`), the image shape, the number of outputs and the state dict.

    Raises:
        UserError: If there is no such cell or epoch.
    """
    with storage.reading(path, "weights") as file:
        index = storage.read_table(file, "checkpoints")
        described = storage.read_table(file, "cells").set_index("cell")["settings"]
        if cell not in described.index:
            raise unknown_name("cell", cell, described.index, where=str(path))
        saved = index.index[index["cell"] == cell]
        epochs = index.loc[saved, "epoch"]
        wanted = epochs.max() if epoch is None else epoch
        if wanted not in set(epochs):
            listed = ", ".join(f"{value:g}" for value in epochs)
            raise UserError(f"{path}: cell '{cell}' has no weights at epoch {wanted:g}. Choose from: {listed}.")
        row = int(saved[epochs == wanted][0])
        group = file["weights"]
        state = {name: torch.from_numpy(np.asarray(group[name][row])) for name in storage.dataset_names(group)}
        channels, height, width = (int(size) for size in file.attrs["image_shape"])
        return json.loads(described[cell]), (channels, height, width), int(file.attrs["n_outputs"]), state
