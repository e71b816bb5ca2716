"""What is kept of one cell, and the two files that keep it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gengap.engine import weights
from gengap.errors import UserError
from gengap.files import storage
from gengap.quantities import QUANTITIES
from gengap.studies.settings import Cell

HISTORY_COLUMNS = ["cell", "epoch", "quantity", "value", "batchnorm"]
CELL_COLUMNS = ["cell", "status", "stopped_by", "epochs_trained", "n_parameters", "identity"]


@dataclass
class CellResult:
    """One cell while it is trained, and after.

    Attributes:
        name: The cell's name.
        cell: Its settings.
        identity: Digest of all that its numbers depend on.
        n_parameters: Parameters of its network.
        checkpoints: State by epoch, on the CPU.
        history: Rows (epoch, quantity, value).
        status: ``finished``; ``diverged`` if a loss was not finite; ``dead`` if the output ignores the input.
        stopped_by: ``epochs``, ``stop_accuracy``, ``stop_loss``, ``plateau`` or ``divergence``; empty while training.
        epochs_trained: Epochs done.
    """

    name: str
    cell: Cell
    identity: str
    n_parameters: int
    checkpoints: weights.Checkpoints = field(default_factory=dict)
    history: list[tuple[float, str, float]] = field(default_factory=list)
    status: str = "finished"
    stopped_by: str = ""
    epochs_trained: int = 0

    def train_accuracies(self) -> list[tuple[int, float]]:
        """Train accuracy after each evaluated epoch, from the first epoch on."""
        return [(int(at), value) for at, name, value in self.history if name == "train_accuracy" and at > 0]


def pack_digest(identities: Iterable[str]) -> str:
    """Digest of the identities of cells, in any order."""
    return hashlib.sha256("".join(sorted(identities)).encode()).hexdigest()


def write(
    results: Sequence[CellResult],
    weights_path: Path,
    history_path: Path,
    image_shape: tuple[int, int, int],
    n_outputs: int,
    provenance: Mapping[str, Any],
) -> None:
    """Write the results of a pack; ``pack`` in `provenance` says to `read` which two files belong together."""
    cells = [(r.name, r.status, r.stopped_by, float(r.epochs_trained), r.n_parameters, r.identity) for r in results]
    rows = [(r.name, *row, r.cell.training.batchnorm) for r in results for row in r.history]
    units = {"epoch": "epochs", "epochs_trained": "epochs"}
    with storage.writing(history_path, "history", provenance) as file:
        storage.write_table(file, "cells", pd.DataFrame(cells, columns=CELL_COLUMNS), units)
        storage.write_table(file, "history", pd.DataFrame(rows, columns=HISTORY_COLUMNS), units)
        file.attrs["units"] = json.dumps({name: QUANTITIES[name].unit for name in sorted({row[2] for row in rows})})
    weights.write(
        weights_path,
        {result.name: result.checkpoints for result in results},
        {result.name: result.cell.model_dump(mode="json") for result in results},
        image_shape,
        n_outputs,
        provenance,
    )


def read_identities(history_path: Path) -> dict[str, str]:
    """The identity of every cell of a history file."""
    with storage.reading(history_path, "history") as file:
        facts = storage.read_table(file, "cells")
    return dict(zip(facts["cell"], facts["identity"], strict=True))


def read(cells: Mapping[str, Cell], weights_path: Path, history_path: Path) -> dict[str, CellResult]:
    """Read back the results of those of `cells` that the two files hold, of any identity.

    Raises:
        UserError: If a file is damaged, or a job was killed between writing the two.
    """
    with storage.reading(history_path, "history") as file:
        provenance = storage.provenance_of(file)
        facts = {row["cell"]: row for row in storage.read_table(file, "cells").to_dict("records")}
        history = storage.read_table(file, "history")
    checkpoints, other = weights.read_with_provenance(weights_path)
    if provenance.get("pack") != other.get("pack"):
        raise UserError(f"{history_path} and {weights_path.name} were not written together.")
    rows = dict(iter(history.groupby("cell")))
    results = {}
    for name in (name for name in cells if name in facts and name in checkpoints):
        fact, past = facts[name], rows[name]
        results[name] = CellResult(
            name=name,
            cell=cells[name],
            identity=str(fact["identity"]),
            n_parameters=int(fact["n_parameters"]),
            checkpoints=checkpoints[name],
            history=list(zip(past["epoch"], past["quantity"], past["value"], strict=True)),
            status=str(fact["status"]),
            stopped_by=str(fact["stopped_by"]),
            epochs_trained=int(fact["epochs_trained"]),
        )
    return results
