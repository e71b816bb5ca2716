"""Quantities of layers as one table of cells by layer and epoch: what the evidence on Luck Matters is made of."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from gengap.evidence.intervals import interval
from gengap.evidence.measurements import Evidence

ENOUGH = 5  # seeds behind a verdict


def by_layer(evidence: Evidence, quantity: str) -> pd.DataFrame:
    """The values of the finished cells: one row per cell, columns ``(layer, epoch)`` in the network's order.

    Empty if the quantity was not measured.
    """
    rows = evidence.measurements
    rows = rows[(rows["quantity"] == quantity) & (rows["layer"] != "") & rows["cell"].isin(evidence.finished["cell"])]
    layers = list(dict.fromkeys(rows["layer"]))
    wide = rows.pivot_table(index="cell", columns=["layer", "epoch"], values="value", dropna=False)
    return wide[[column for layer in layers for column in wide.columns if column[0] == layer]] if len(rows) else wide


def layers(table: pd.DataFrame) -> list[str]:
    """Names of the layers, the first one first."""
    return list(dict.fromkeys(table.columns.get_level_values(0))) if len(table) else []


def at_end(table: pd.DataFrame) -> pd.DataFrame:
    """The last epoch of every cell at which it was measured: cells by layer."""
    return pd.DataFrame({layer: _curves(table, layer).ffill(axis=1).iloc[:, -1] for layer in layers(table)})


def at_epoch(table: pd.DataFrame, epoch: float) -> pd.DataFrame:
    """Cells by layer at one epoch; empty if none was measured there."""
    found = {layer: _curves(table, layer) for layer in layers(table)}
    return pd.DataFrame({layer: curves[epoch] for layer, curves in found.items() if epoch in curves.columns})


def over_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over the epochs after the start, each counting once: cells by layer."""
    found = {layer: _curves(table, layer) for layer in layers(table)}
    later = {layer: curves.drop(columns=0.0, errors="ignore") for layer, curves in found.items()}
    return pd.DataFrame({layer: curves.mean(axis=1) for layer, curves in later.items()})


def ends(table: pd.DataFrame, values: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """The values of each cell's own first and last layer: networks of several depths have other last layers.

    Args:
        table: What `by_layer` gave, which says what layers a cell has.
        values: Cells by layer, made from it.
    """
    has = pd.DataFrame({layer: _curves(table, layer).notna().any(axis=1) for layer in layers(table)})
    names = has.idxmax(axis=1), has.iloc[:, ::-1].idxmax(axis=1)
    first, last = (pd.Series({cell: values.at[cell, layer] for cell, layer in one.items()}) for one in names)
    return first, last


def half_time(table: pd.DataFrame) -> pd.DataFrame:
    """The epoch at which each curve is first halfway from its start to its end, interpolated: cells by layer."""
    return pd.DataFrame({layer: _curves(table, layer).apply(_half_time, axis=1) for layer in layers(table)})


def _curves(table: pd.DataFrame, layer: str) -> pd.DataFrame:
    """One layer: cells by epoch, ascending."""
    own = table.xs(layer, axis=1, level=0)
    return pd.DataFrame(own).sort_index(axis=1)


def _half_time(curve: pd.Series) -> float:
    curve = curve.dropna()
    epochs, values = curve.index.to_numpy(dtype=float), curve.to_numpy(dtype=float)
    if len(values) < 2 or values[-1] == values[0]:
        return math.nan
    share = (values - values[0]) / (values[-1] - values[0])
    after = int(np.argmax(share >= 0.5))
    before, step = share[after - 1], share[after] - share[after - 1]
    return float(epochs[after - 1] + (0.5 - before) / step * (epochs[after] - epochs[after - 1]))


def judged(effects: Sequence[float]) -> dict[str, object]:
    """What one effect per seed says of a claim that holds where the effect is above 0.

    Returns:
        ``n``, ``effect``, their mean, ``effect_low`` and ``effect_high``, ends of its 95 % confidence interval by
        Student's t, and ``verdict``: holds, opposite, undecided, or too few seeds.
    """
    ours = interval([value for value in effects if math.isfinite(value)])
    low, high = ours.of_mean
    if ours.n < ENOUGH:
        verdict = f"too few seeds ({ours.n})"
    elif low > 0:
        verdict = "holds"
    else:
        verdict = "opposite" if high < 0 else "undecided"
    return {"n": ours.n, "effect": ours.mean, "effect_low": low, "effect_high": high, "verdict": verdict}
