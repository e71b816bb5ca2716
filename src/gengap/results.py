"""The Python interface: a study's results as pandas tables, and any of its networks as a PyTorch module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gengap import layout
from gengap.errors import UserError, unknown_name
from gengap.evidence import measurements
from gengap.files import legacy_names

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Results:
    """The results of one study; the tables are described at `gengap.evidence.measurements.Evidence`.

    Attributes:
        folder: The study's folder of results.
        study: Title, question, source, grid axes and facts about the data.
        cells: One row per cell, with its final values.
        history: What was recorded while training.
        measurements: What the probes measured, in all BatchNorm modes.
    """

    folder: Path
    study: dict[str, Any]
    cells: pd.DataFrame
    history: pd.DataFrame
    measurements: pd.DataFrame

    def network(self, cell: str, epoch: float | None = None) -> nn.Module:
        """Build the network of a cell with its trained weights, in evaluation mode, on the CPU.

        Args:
            cell: Name of the cell, e.g. ``"width=4,init=he,seed=0"``.
            epoch: A saved epoch; the last one by default.

        Raises:
            UserError: If there is no such cell, or no weights were saved at that epoch.
        """
        from gengap import models
        from gengap.engine import weights
        from gengap.studies.settings import Cell

        pack = self.cells.set_index("cell")["pack"].get(cell)
        if pack is None:
            raise self._unknown_cell(cell)
        path = layout.weights_in(legacy_names.pack_folder(self.folder, pack))
        if not path.exists():
            raise UserError(
                f"{path}: the weights of '{cell}' are not here. If its results were imported, remove the import from "
                f"{layout.IMPORTS} and run the study: it trains them."
            )
        settings, image_shape, n_outputs, state = weights.read_cell(path, cell, epoch)
        network = models.build(Cell.model_validate(settings).model, image_shape, n_outputs)
        network.load_state_dict(state)
        return network.eval()

    def _unknown_cell(self, cell: str) -> UserError:
        axes = [axis for axis in self.study["axes"] if axis in self.cells]
        grid = "; ".join(f"{axis} in {', '.join(map(str, self.cells[axis].unique()))}" for axis in axes)
        near = (
            unknown_name("cell", cell, self.cells["cell"], where=str(self.folder)).args[0].partition(" Choose from")[0]
        )
        return UserError(
            f"{near} The grid is: {grid or 'one cell, base'}. All names are in the column `cell` of .cells."
        )


def load(folder: str | Path) -> Results:
    """Read the results of a study.

    Args:
        folder: Its folder of results, e.g. ``"results/teacher_student"``.

    Raises:
        UserError: If there are none, or they are damaged or from another version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        siblings = [sibling.name for sibling in folder.parent.iterdir() if layout.measurements_in(sibling).exists()]
        if siblings:
            raise unknown_name("study", folder.name, siblings, where=str(folder.parent))
        raise UserError(f"{folder}: does not exist. Run the study that makes it, or name its folder from here.")
    found = measurements.read(layout.measurements_in(folder))
    measured = pd.concat([found.measurements, found.other_modes], ignore_index=True)
    return Results(folder, found.study, found.cells, found.history, measured)
