"""Records of cells as one HDF5 group, checked by a digest when they are read back.

The store keeps one finished cell per file in this form, and an interrupted pack all of its cells. A thousand cells
are a thousand files, and in each a dataset per tensor would cost more than training some of them: all tensors of a
checkpoint are one row of bytes, and ``facts`` says which are where.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import torch

from gengap.engine.stack import State
from gengap.studies.settings import Cell
from gengap.training.cell_result import CellResult


def write_results(group: h5py.Group, results: Sequence[CellResult]) -> None:
    """Write results of one architecture; the group's attribute ``digest`` covers all of it."""
    checkpoints = [
        (slot, epoch, state)
        for slot, result in enumerate(results)
        for epoch, state in sorted(result.checkpoints.items())
    ]
    quantities = sorted({quantity for result in results for _, quantity, _ in result.history})
    numbers = {quantity: number for number, quantity in enumerate(quantities)}
    tensors = [(name, value.numpy().dtype.str, tuple(value.shape)) for name, value in checkpoints[0][2].items()]
    cells = [
        {
            "name": result.name,
            "cell": result.cell.identity(),
            "identity": result.identity,
            "n_parameters": result.n_parameters,
            "status": result.status,
            "stopped_by": result.stopped_by,
            "epochs_trained": result.epochs_trained,
        }
        for result in results
    ]
    facts = json.dumps({"cells": cells, "quantities": quantities, "tensors": tensors}, sort_keys=True)
    history = [
        (slot, epoch, numbers[quantity], value)
        for slot, result in enumerate(results)
        for epoch, quantity, value in result.history
    ]
    group.attrs["facts"] = facts
    total = hashlib.sha256(facts.encode())
    for name, rows in (("history", history), ("checkpoints", [(slot, epoch) for slot, epoch, _ in checkpoints])):
        table = np.array(rows, dtype=np.float64)
        group[name] = table
        total.update(table.tobytes())
    weights = None
    for row, (_, _, state) in enumerate(checkpoints):
        content = b"".join(state[name].numpy().tobytes() for name, _, _ in tensors)
        total.update(content)
        # Row by row: all rows at once would be in memory twice.
        weights = weights or group.create_dataset("weights", (len(checkpoints), len(content)), np.uint8)
        weights[row] = np.frombuffer(content, np.uint8)
    group.attrs["digest"] = total.hexdigest()


def read_results(group: h5py.Group) -> list[CellResult]:
    """Read back what `write_results` wrote.

    Raises:
        ValueError: If the content does not have the digest that it was written with.
    """
    text = str(group.attrs["facts"])
    total = hashlib.sha256(text.encode())
    history, index = group["history"][()], group["checkpoints"][()]
    total.update(history.tobytes())
    total.update(index.tobytes())
    weights = [group["weights"][row] for row in range(len(index))]
    for content in weights:
        total.update(content.tobytes())
    if group.attrs["digest"] != total.hexdigest():
        raise ValueError("its content is not what was written")
    facts = json.loads(text)
    results = [CellResult(**{**cell, "cell": Cell.from_identity(cell["cell"])}) for cell in facts["cells"]]
    for slot, epoch, quantity, value in history.tolist():
        results[int(slot)].history.append((epoch, facts["quantities"][int(quantity)], value))
    for (slot, epoch), content in zip(index.tolist(), weights, strict=True):
        results[int(slot)].checkpoints[epoch] = _state(content, facts["tensors"])
    return results


def read_settings(group: h5py.Group) -> list[dict[str, Any]]:
    """The results' cells as `Cell.identity` gave them, without reading anything else."""
    return [facts["cell"] for facts in json.loads(group.attrs["facts"])["cells"]]


def _state(content: np.ndarray, tensors: Sequence[tuple[str, str, Sequence[int]]]) -> State:
    """Cut a row of bytes into the tensors it holds."""
    state: dict[str, Any] = {}
    start = 0
    for name, kind, shape in tensors:
        dtype = np.dtype(kind)
        stop = start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        state[name] = torch.from_numpy(content[start:stop].copy().view(dtype).reshape(tuple(shape)))
        start = stop
    return state
