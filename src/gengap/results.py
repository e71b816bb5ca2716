"""The Python interface: a study's results as pandas tables, and any of its networks as a PyTorch module."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gengap import layout
from gengap.errors import UserError, enumerated, spelled, unknown_name
from gengap.evidence.intervals import grouped, interval, usable
from gengap.evidence.measurements import SEED
from gengap.files import arrays, legacy_names, storage
from gengap.files.arrays import Array
from gengap.quantities import QUANTITIES, SHARES

if TYPE_CHECKING:
    import xarray
    from torch import nn


@dataclass(frozen=True)
class Results:
    """The results of one study; the tables are described at `gengap.evidence.measurements.Evidence`.

    Attributes:
        folder: The study's folder of results.
        study: Title, question, source, grid axes and facts about the data.
        cells: One row per cell, with its final values.
    """

    folder: Path
    study: dict[str, Any]
    cells: pd.DataFrame

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """What was recorded while training; read when it is first asked for."""
        return self._table("history")

    @functools.cached_property
    def measurements(self) -> pd.DataFrame:
        """What the probes measured, in all BatchNorm modes; read when it is first asked for."""
        return self._table("measurements")

    @property
    def axes(self) -> tuple[str, ...]:
        """The columns of `cells` along which the study's grid runs, e.g. ``("width", "lr", "seed")``."""
        return tuple(axis for axis in self.study["axes"] if axis in self.cells)

    def where(self, **settings: object) -> Results:
        """The results of some cells only.

        Args:
            **settings: A value, or a list of values, of columns of `cells`: ``where(width=4, seed=[0, 1])``.

        Raises:
            UserError: If there is no such column, or no cell with such a value.
        """
        cells = self.cells
        for column, wanted in settings.items():
            if column not in self.cells:
                raise unknown_name("column", column, self.axes, where=f"{self.folder}: where")
            kept = cells[cells[column].isin(list(wanted) if isinstance(wanted, list | tuple) else [wanted])]
            if kept.empty:
                there = ", ".join(map(str, cells[column].unique()))
                raise UserError(f"{self.folder}: where: no cell has {column} = {wanted}. Choose from: {there}.")
            cells = kept
        return Results(self.folder, self.study, cells.reset_index(drop=True))

    def measure(self, name: str, *, epoch: float | None = None) -> pd.DataFrame:
        """What a probe measured, or one quantity of it, as one tidy table.

        Args:
            name: A probe, e.g. ``"hessian_extremes"``, or a quantity, e.g. ``"hessian_largest"``.
            epoch: A saved epoch; all by default.

        Returns:
            One row per cell, epoch, layer (empty for the whole network), BatchNorm mode and probe: the axes, those five
            columns, and one column per quantity.

        Raises:
            UserError: If it was not measured, or not at that epoch, or is an array.
        """
        rows = self.measurements
        chosen = rows[(rows["probe"] == name) | (rows["quantity"] == name)]
        if chosen.empty:
            measured = {*rows["probe"], *rows["quantity"]}
            if name in {one.quantity for one in self._arrays()}:
                raise UserError(f"{self.folder}: measure: '{name}' is an array of each network. Use .arrays({name!r}).")
            raise unknown_name("probe or quantity", name, measured, where=f"{self.folder}: measure")
        if epoch is not None:
            at = chosen[chosen["epoch"] == epoch]
            if at.empty:
                there = ", ".join(f"{one:g}" for one in sorted(chosen["epoch"].unique()))
                raise UserError(f"{self.folder}: '{name}' was not measured at epoch {epoch}. Choose from: {there}.")
            chosen = at
        keys = ["cell", "epoch", "layer", "batchnorm", "probe"]
        wide = chosen.pivot_table(index=keys, columns="quantity", values="value", sort=False, dropna=False)
        wide = wide.rename_axis(columns=None).dropna(how="all").reset_index()
        return self.cells[["cell", *self.axes]].merge(wide, on="cell")

    def arrays(self, quantity: str) -> list[Array]:
        """A quantity that is an array of each network, such as a spectrum.

        Args:
            quantity: One that a probe measured, e.g. ``"hessian_eigenvalues"``.

        Returns:
            One `gengap.files.arrays.Array` per pack, layer, BatchNorm mode and probe, since shapes may differ:
            ``values``, ``[rows, *dims]``, and ``rows``, a table with ``cell`` and ``epoch`` of each.

        Raises:
            UserError: If no such array was measured.
        """
        found = [one.of(self.cells["cell"].tolist()) for one in self._arrays(quantity)]
        if found := [one for one in found if len(one.rows)]:
            return found
        known = {one.quantity for one in self._arrays()}
        if not known:
            raise UserError(
                f"{self.folder}: arrays: none of its probes measured an array. `gengap parts probe` lists probes; "
                "hessian_spectrum, for example, measures every eigenvalue."
            )
        raise unknown_name("array", quantity, known, where=f"{self.folder}: arrays")

    def curves(self, quantity: str, *, by: str | Sequence[str] = ()) -> pd.DataFrame:
        """The course of a quantity over training, with intervals over seeds.

        Args:
            quantity: One that training recorded, e.g. ``"test_accuracy"``, or that a probe measured on whole networks.
            by: The axes whose values are kept apart.

        Returns:
            One row per group and epoch: the axes, ``epoch``, ``n``, ``mean``, and the ends ``low`` and ``high`` of the
            mean's 95 % confidence interval. Networks that are dead, stuck or diverged are left out.

        Raises:
            UserError: If the quantity was not recorded, or networks of several settings would be averaged.
        """
        by = self._apart(by)
        rows = self.history[self.history["quantity"] == quantity]
        if rows.empty:
            rows = self.measurements
            rows = rows[(rows["quantity"] == quantity) & (rows["layer"] == "")]
        if rows.empty:
            recorded = {*self.history["quantity"], *self.measurements["quantity"]}
            raise unknown_name("quantity", quantity, recorded, where=f"{self.folder}: curves")
        finished = self.cells.loc[self.cells["status"] == "finished", ["cell", *by]]
        rows = finished.merge(rows.loc[np.isfinite(rows["value"]), ["cell", "epoch", "value"]], on="cell")
        made = []
        for values, part in grouped(rows, [*by, "epoch"]):
            made.append(values | _summary(part["value"], quantity))
        return pd.DataFrame(made).sort_values([*by, "epoch"], kind="stable", ignore_index=True)

    def compare(self, x: str, y: str, *, by: str | Sequence[str] = ()) -> pd.DataFrame:
        """One final value against an axis or against another final value, with intervals over seeds.

        Args:
            x: An axis, e.g. ``"width"``, or a column of final values, e.g. ``"hessian_largest"``.
            y: A column of final values, e.g. ``"generalization_gap"``.
            by: The axes whose values are kept apart, beside `x`; where `x` is no axis, all are.

        Returns:
            One row per group: the axes, ``n``, ``mean``, ``low``, ``high`` (of the mean, 95 %); where `x` is no axis,
            also ``x_mean``, ``x_low`` and ``x_high``. Networks that are dead, stuck or diverged are left out.

        Raises:
            UserError: If there is no such axis or column, or networks of several settings would be averaged.
        """
        final = self._final_values()
        if y not in final:
            raise unknown_name("final value", y, final, where=f"{self.folder}: compare")
        if x not in (*self.axes, *final):
            raise unknown_name("axis or final value", x, (*self.axes, *final), where=f"{self.folder}: compare")
        along = x in self.axes
        apart = self._apart([x, *_listed(by)] if along else [axis for axis in self.axes if axis != SEED])
        rows = []
        for values, cells in grouped(self.cells, apart):
            found = values | _summary(usable(cells, y), y)
            if not along:
                found |= {f"x_{name}": value for name, value in _summary(usable(cells, x), x).items() if name != "n"}
            rows.append(found)
        return pd.DataFrame(rows)

    def to_parquet(self, folder: str | Path) -> list[Path]:
        """Write the tables as Parquet files, which DuckDB, Polars and R read.

        Args:
            folder: Where to write ``cells.parquet``, ``history.parquet`` and ``measurements.parquet``.

        Returns:
            The files.

        Raises:
            UserError: If pyarrow is not installed.
        """
        _needs("pyarrow", "to_parquet")
        files = []
        for name in ("cells", "history", "measurements"):
            path = Path(folder) / f"{name}.parquet"
            content = io.BytesIO()
            getattr(self, name).to_parquet(content, index=False)
            storage.write_bytes(path, content.getvalue())
            files.append(path)
        return files

    def to_xarray(self) -> xarray.Dataset:
        """The final values as arrays with one dimension per axis; NaN where the grid has no cell.

        Raises:
            UserError: If xarray is not installed.
        """
        _needs("xarray", "to_xarray")
        axes, values = list(self.axes) or ["cell"], self._final_values()
        dataset = self.cells.set_index(axes)[values].to_xarray()
        for name in values:
            if name in QUANTITIES:
                dataset[name].attrs = {"long_name": QUANTITIES[name].label, "description": QUANTITIES[name].meaning}
        dataset.attrs = {"title": self.study["title"]}
        return dataset

    def _final_values(self) -> list[str]:
        """The columns of `cells` that hold numbers and are no axis."""
        return [str(name) for name in self.cells.select_dtypes("number") if name not in self.axes]

    def _arrays(self, quantity: str | None = None) -> list[Array]:
        with storage.reading(layout.measurements_in(self.folder), "measurements") as file:
            return list(arrays.read(file, quantity))

    def _table(self, name: str) -> pd.DataFrame:
        with storage.reading(layout.measurements_in(self.folder), "measurements") as file:
            table = storage.read_table(file, name)
        return table[table["cell"].isin(set(self.cells["cell"]))].reset_index(drop=True)

    def _apart(self, by: str | Sequence[str]) -> list[str]:
        """The axes to keep apart; refuses those that leave networks of several settings in one group."""
        axes = _listed(by)
        for axis in axes:
            if axis not in self.axes:
                raise unknown_name("axis", axis, self.axes, where=str(self.folder))
        mixed = [axis for axis in self.axes if axis not in (*axes, SEED) and self.cells[axis].nunique() > 1]
        # An axis that follows from the others, such as a setting that goes with an arm, mixes nothing.
        mixed = [axis for axis in mixed if not _follows(self.cells, axis, axes)]
        if mixed:
            value = self.cells[mixed[0]].tolist()[0]
            raise UserError(
                f"{self.folder}: networks differ in {enumerated(mixed)} as well, and their mean says nothing of any. "
                f"Name what to keep apart, by=[{', '.join(map(repr, [*axes, *mixed]))}], or choose some: "
                f".where({mixed[0]}={value!r})."
            )
        return axes

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
        if not _is_epoch(epoch):
            raise UserError(
                f"{self.folder}: network: epoch: {spelled(epoch)} is no number. Leave it out for the last one."
            )
        path = layout.weights_in(legacy_names.pack_folder(self.folder, pack))
        if not path.exists():
            raise UserError(
                f"{path}: the weights of '{cell}' are not here. If they were removed, `snakemake {path}` makes them "
                f"again. If its results were imported, remove the import from {layout.IMPORTS} and run the study: it "
                "trains them."
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
        siblings = [path.parent.name for path in folder.parent.glob(str(layout.measurements_in(Path("*"))))]
        if siblings:
            raise unknown_name("study", folder.name, siblings, where=str(folder.parent))
        raise UserError(f"{folder}: does not exist. Run the study that makes it, or name its folder from here.")
    with storage.reading(layout.measurements_in(folder), "measurements") as file:
        return Results(folder, json.loads(file.attrs["study"]), storage.read_table(file, "cells"))


def _listed(names: str | Sequence[str]) -> list[str]:
    return list(dict.fromkeys([names] if isinstance(names, str) else names))


def _follows(cells: pd.DataFrame, axis: str, others: list[str]) -> bool:
    return bool(others) and bool((cells.groupby(others)[axis].nunique() == 1).all())


def _summary(values: pd.Series, quantity: str) -> dict[str, float]:
    estimate = interval(values, share=quantity in SHARES)
    low, high = estimate.of_mean
    return {"n": estimate.n, "mean": estimate.mean, "low": low, "high": high}


def _needs(package: str, method: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{method} needs {package}. Install it: pip install {package}.")


def _is_epoch(value: object) -> bool:
    return value is None or isinstance(value, numbers.Real)
