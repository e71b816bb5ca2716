"""The saved weights of a pack's cells, as probes read them."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from gengap.engine import weights
from gengap.engine.stack import State
from gengap.errors import UserError
from gengap.studies.identity import measured_epochs
from gengap.studies.settings import Cell
from gengap.studies.study import Probe


class Checkpoints:
    """The rows of a weights file that belong to some cells.

    Args:
        path: The pack's weights file.
        cells: Settings by name.
        device: Where the weights go.

    Raises:
        UserError: If the file is damaged, lacks a cell, or holds one that other settings have trained.
    """

    def __init__(self, path: Path, cells: Mapping[str, Cell], device: torch.device) -> None:
        self._path, self._device = path, device
        index = weights.read_index(path)
        self._index = index[index["cell"].isin(list(cells))]
        if missing := set(cells) - set(self._index["cell"]):
            raise UserError(f"{path}: lacks the cell '{min(missing)}'. Remove the file, and train the pack again.")
        trained = weights.read_settings(path)
        if stale := [name for name, cell in cells.items() if not _is_of(cell, trained[name])]:
            raise UserError(
                f"{path}: holds the cell '{min(stale)}' as other settings have trained it. "
                "Remove the file, and train the pack again."
            )
        self._saved = {str(name): tuple(sorted(of["epoch"])) for name, of in self._index.groupby("cell")}
        self._row = {(cell, epoch): row for row, cell, epoch in self._index.itertuples()}

    def wanted(self, probe: Probe) -> list[int]:
        """Row numbers of the checkpoints that a probe measures."""
        wanted = {name: set(measured_epochs(probe, saved)) for name, saved in self._saved.items()}
        return [int(row) for row, cell, epoch in self._index.itertuples() if epoch in wanted[cell]]

    def parts(self, rows: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
        """Cut rows into parts whose cells were all saved at the same epochs, so that none hides another's.

        Args:
            rows: Row numbers.
            sizes: Most rows of each part; of all that follow, the last.
        """
        most = itertools.chain(sizes, itertools.repeat(sizes[-1]))
        alike: dict[tuple[float, ...], list[int]] = {}
        for row, name in zip(rows, self.names(rows), strict=True):
            alike.setdefault(self.saved_epochs(name), []).append(row)
        for part in alike.values():
            waiting = iter(part)
            while chosen := list(itertools.islice(waiting, next(most))):
                yield chosen

    def at(self, rows: Sequence[int]) -> list[tuple[str, float]]:
        """The cell and epoch of each row."""
        return list(zip(self.names(rows), self.epochs(rows), strict=True))

    def digests(self) -> dict[str, str]:
        """Of every cell, the digest of its weights at all epochs."""
        digests = weights.read_digests(self._path)
        return {name: digests[name] for name in self._saved}

    def names(self, rows: Sequence[int]) -> list[str]:
        """The cells of the rows."""
        return [str(name) for name in self._index.loc[list(rows), "cell"]]

    def epochs(self, rows: Sequence[int]) -> list[float]:
        """The epochs of the rows."""
        return [float(epoch) for epoch in self._index.loc[list(rows), "epoch"]]

    def saved_epochs(self, name: str) -> tuple[float, ...]:
        """Epochs at which a cell was saved, ascending."""
        return self._saved[name]

    def read(self, rows: Sequence[int]) -> State:
        """The stacked weights of the rows, on the device."""
        return {name: value.to(self._device) for name, value in weights.read_rows(self._path, rows).items()}

    def read_at(self, names: Sequence[str], epoch: float) -> State:
        """The stacked weights of these cells at one of their `saved_epochs`; infinity takes each cell's own last."""
        if math.isinf(epoch):
            last = self._index.groupby("cell")["epoch"].idxmax()
            return self.read([int(last[name]) for name in names])
        return self.read([self._row[name, epoch] for name in names])


def planned_epochs(cell: Cell) -> list[float]:
    """Epochs at which a cell that trains for all its epochs is saved."""
    last = float(cell.training.epochs)
    return sorted({0.0, last, *(float(epoch) for epoch in cell.training.snapshots if epoch <= last)})


def _is_of(cell: Cell, settings: Mapping[str, Any]) -> bool:
    """Whether these settings train the same network as the cell's."""
    try:
        return Cell.model_validate(settings).identity() == cell.identity()
    except ValidationError:  # of another version
        return False
