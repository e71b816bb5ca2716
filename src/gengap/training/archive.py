"""Records of cells as one HDF5 group, checked by a digest when they are read back.

The store keeps one finished cell per file in this form, and an interrupted pack all of its cells.
"""

import hashlib
import json
from collections.abc import Sequence

import h5py
import numpy as np
import pandas as pd
import torch

from gengap import storage
from gengap.settings import Cell
from gengap.training.record import Record


def write_records(group: h5py.Group, records: Sequence[Record]) -> None:
    """Write records of one architecture; the group's attribute ``digest`` covers all of it."""
    facts = [
        {
            "name": record.name,
            "cell": record.cell.identity(),
            "identity": record.identity,
            "n_parameters": record.n_parameters,
            "status": record.status,
            "stopped_by": record.stopped_by,
            "epochs_trained": record.epochs_trained,
        }
        for record in records
    ]
    group.attrs["facts"] = json.dumps(facts, sort_keys=True)
    history = [(place, *row) for place, record in enumerate(records) for row in record.history]
    storage.write_table(group, "history", pd.DataFrame(history, columns=["place", "epoch", "quantity", "value"]))
    rows = [(place, epoch) for place, record in enumerate(records) for epoch in sorted(record.checkpoints)]
    storage.write_table(group, "checkpoints", pd.DataFrame(rows, columns=["place", "epoch"]))
    weights = group.create_group("weights")
    for name in records[rows[0][0]].checkpoints[rows[0][1]]:
        weights[name] = np.stack([records[place].checkpoints[epoch][name].numpy() for place, epoch in rows])
    group.attrs["digest"] = digest(group)


def read_records(group: h5py.Group) -> list[Record]:
    """Read back what `write_records` wrote.

    Raises:
        ValueError: If the content does not have the digest that it was written with.
    """
    if group.attrs["digest"] != digest(group):
        raise ValueError("its content is not what was written")
    records = [
        Record(**{**facts, "cell": Cell.from_identity(facts["cell"])}) for facts in json.loads(group.attrs["facts"])
    ]
    history = storage.read_table(group, "history")
    for place, epoch, quantity, value in history.itertuples(index=False, name=None):
        records[int(place)].history.append((float(epoch), str(quantity), float(value)))
    index = storage.read_table(group, "checkpoints")
    tensors = {name: torch.from_numpy(group["weights"][name][()]) for name in storage.dataset_names(group["weights"])}
    for row, (place, epoch) in enumerate(index.itertuples(index=False, name=None)):
        state = {name: value[row].clone() for name, value in tensors.items()}
        records[int(place)].checkpoints[float(epoch)] = state
    return records


def digest(group: h5py.Group) -> str:
    """Digest of a group's facts and of every array in it."""
    total = hashlib.sha256(str(group.attrs["facts"]).encode())
    for name in sorted(storage.dataset_names(group)):
        data = group[name]
        values = data.asstr()[()].tolist() if h5py.check_string_dtype(data.dtype) else data[()].tobytes()
        total.update(name.encode() + (json.dumps(values).encode() if isinstance(values, list) else values))
    return total.hexdigest()
