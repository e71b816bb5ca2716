"""Loss and accuracy along the line between two checkpoints (Keskar et al. 2017, figures 3 and 4)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from gengap.evidence.figures.drawing import (
    GREY,
    SPLITS,
    band,
    handles,
    legend,
    log_scale,
    palette,
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.measurements import Evidence, lacking
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Loss and accuracy along the line between two checkpoints.",
    "needs": ("path_position",),
    "caption": """\
**Loss and accuracy along the line between two checkpoints** (study ``{{ snakemake.wildcards.study }}``; after Keskar
et al. 2017, arXiv:1609.04836, figures 3 and 4). The weights at position α are α times the measured ones plus 1 - α
times those of the same network at the probe's ``from_epoch``, by default before training; the thin lines at 0 and 1
mark these two checkpoints. Above the accuracy, below the mean loss, on the training set (solid) and the test set
(dashed), for the narrowest and the widest networks. Lines are means over the finished seeds, bands reach from the
smallest to the largest. BatchNorm uses the mode of the probe ``path``; see ``batchnorm`` in the CSV: statistics of the
whole training set are recomputed at every position (``exact``), running averages are interpolated like the weights
(``running``). *What to look for:* a loss that falls from 0 to 1 without a hump says that no barrier lies between the
two; the wider the valley around 1, the flatter the minimum in this one direction, whose length differs between
networks.
""",
}

MEASURES = ("accuracy", "loss")
COLUMNS = ["group", "quantity", "batchnorm", "position", "n", "mean", "min", "max"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over finished seeds of accuracy [%] and loss at each position, of each cell's last measurement.

    Narrowest against widest network. A network whose loss is not finite somewhere is left out there.
    """
    cells = labelled(evidence, extremes=True)
    finished = cells.loc[cells["status"] == "finished", ["cell", "group"]]
    rows = _rows(evidence)
    rows = finished.merge(rows[rows["epoch"] == rows.groupby("cell")["epoch"].transform("max")], on="cell")
    rows["value"] *= rows["quantity"].map(lambda quantity: QUANTITIES[quantity].scale).astype(float)
    found = rows.groupby(COLUMNS[:4], sort=False)["value"].agg(["size", "mean", "min", "max"]).reset_index()
    return found.rename(columns={"size": "n"})[COLUMNS]


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Accuracy above loss; one colour per group, train solid, test dashed; the checkpoints are at 0 and 1."""
    cells = labelled(evidence, extremes=True)
    figure, axes = panels(len(MEASURES), height=3.6)
    title(axes[0], description(cells, evidence, extremes=True))
    if data.empty:
        unfinished(axes, cells)
        return figure
    colors = palette(data["group"])
    for panel, measure in zip(axes, MEASURES, strict=True):
        for end in (0, 1):
            panel.axvline(end, color=GREY, linewidth=0.6)
        for split, linestyle in SPLITS.items():
            shown = data[data["quantity"] == f"{split}_{measure}_along_path"]
            for group, curve in shown.groupby("group", sort=False):
                band(panel, curve, colors[str(group)], linestyle, x="position")
        unit = QUANTITIES[f"train_{measure}_along_path"].unit
        panel.set_ylabel(measure if unit == "1" else f"{measure} [{unit}]")
    # Beyond the ends the loss can be decades higher than between them.
    log_scale(axes[1], data[data["quantity"].str.contains("loss")])
    axes[1].set_xlim(data["position"].min(), data["position"].max())
    axes[1].xaxis.set_major_locator(MultipleLocator(0.5))
    axes[1].set_xlabel("position $\\alpha$ on the line (0: earlier, 1: later)")
    figure.align_ylabels()
    legend(figure, handles(colors, SPLITS))
    return figure


def _rows(evidence: Evidence) -> pd.DataFrame:
    """One row per cell, measured epoch, quantity and position."""
    positions: dict[tuple[str, float], NDArray[Any]] = {}
    for array in evidence.arrays("path_position"):
        positions |= dict(zip(array.rows.itertuples(index=False, name=None), array.values, strict=True))
    if not positions:
        raise lacking(evidence, "path_position", "path")
    rows = [
        (cell, epoch, array.quantity, array.batchnorm, position, value)
        for measure in MEASURES
        for split in SPLITS
        for array in evidence.arrays(f"{split}_{measure}_along_path")
        for (cell, epoch), values in zip(array.rows.itertuples(index=False, name=None), array.values, strict=True)
        for position, value in zip(positions[cell, epoch], values, strict=True)
        if np.isfinite(value)
    ]
    return pd.DataFrame(rows, columns=["cell", "epoch", "quantity", "batchnorm", "position", "value"])
