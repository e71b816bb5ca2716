"""The saved weights of a pack's cells, as probes read them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from gengap.engine import weights
from gengap.engine.stack import State
from gengap.errors import UserError
from gengap.settings import Cell
from gengap.study import Probe


class Checkpoints:
    """The rows of a weights file that belong to some cells.

    Args:
        path: The pack's weights file.
        cells: Settings by name.
        device: Where the weights go.

    Raises:
        UserError: If the file is damaged or lacks a cell.
    """

    def __init__(self, path: Path, cells: Mapping[str, Cell], device: torch.device) -> None:
        self._path, self._device = path, device
        index = weights.read_index(path)
        self._index = index[index["cell"].isin(list(cells))]
        if missing := set(cells) - set(self._index["cell"]):
            raise UserError(f"{path}: lacks the cell '{min(missing)}'. Remove the file, and train the pack again.")
        self._row = {(cell, epoch): row for row, cell, epoch in self._index.itertuples()}

    def wanted(self, probe: Probe) -> list[int]:
        """Row numbers of the checkpoints that a probe measures."""
        index = self._index
        if probe.epochs == "last":
            index = index[index["epoch"] == index.groupby("cell")["epoch"].transform("max")]
        elif not isinstance(probe.epochs, str):
            index = index[index["epoch"].isin(probe.epochs)]
        return [int(row) for row in index.index]

    def names(self, rows: Sequence[int]) -> list[str]:
        """The cells of the rows."""
        return [str(name) for name in self._index.loc[list(rows), "cell"]]

    def epochs(self, rows: Sequence[int]) -> list[float]:
        """The epochs of the rows."""
        return [float(epoch) for epoch in self._index.loc[list(rows), "epoch"]]

    def shared_epochs(self, names: Sequence[str]) -> tuple[float, ...]:
        """Epochs at which all of these cells were saved, ascending."""
        saved = [set(self._index.loc[self._index["cell"] == name, "epoch"]) for name in set(names)]
        return tuple(sorted(set.intersection(*saved)))

    def read(self, rows: Sequence[int]) -> State:
        """The stacked weights of the rows, on the device."""
        return {name: value.to(self._device) for name, value in weights.read_rows(self._path, rows).items()}

    def read_at(self, names: Sequence[str], epoch: float) -> State:
        """The stacked weights of these cells at one of their `shared_epochs`; infinity takes each cell's own last."""
        if math.isinf(epoch):
            last = self._index.groupby("cell")["epoch"].idxmax()
            return self.read([int(last[name]) for name in names])
        return self.read([self._row[name, epoch] for name in names])
