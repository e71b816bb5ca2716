"""Loss and gradient along the gradient, over training (Santurkar et al. 2018, Fig. 4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import (
    band,
    epochs,
    handles,
    legend,
    log_scale,
    palette,
    panel_title,
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import curves, description, first_columns, in_columns
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Range of the loss along the gradient, gradient change and effective smoothness, over training.",
    "needs": ("effective_smoothness",),
    "caption": """\
**The landscape along the gradient** (study ``{{ snakemake.wildcards.study }}``; Santurkar et al. 2018, Fig. 4). At
each saved epoch, over steps of 0.01 to 0.4 times a batch's gradient: the range of the loss, lines at its lowest and
highest value; the largest change of the gradient; the effective smoothness, the largest change of the gradient per
length of the step. Means over batches and finished seeds; in the lower panels bands reach from the smallest to the
largest seed. With more than four groups, settings that a panel has no room for have a column for each value, three at
most. BatchNorm uses the mode of the probe ``landscape``. *What to look for:* a narrow range and low curves with
BatchNorm; a network that is at another loss has another landscape, so compare at equal loss too.
""",
}

LOWEST, HIGHEST = "lowest_loss_along_gradient", "highest_loss_along_gradient"
BELOW = {"largest_gradient_change": "gradient change", "effective_smoothness": "effective smoothness"}
MOST_COLUMNS = 3


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of the lowest and highest loss, gradient change and smoothness at each saved epoch."""
    measured(evidence, "effective_smoothness", "landscape")
    rows = evidence.measurements
    shown = rows["quantity"].isin([LOWEST, HIGHEST, *BELOW]) & (rows["layer"] == "") & np.isfinite(rows["value"])
    cells = first_columns(in_columns(evidence, MOST_COLUMNS), MOST_COLUMNS)
    return curves(rows[shown].merge(cells[["cell", "panel"]], on="cell"), cells, by=["panel"])


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """The range of the loss above gradient change and smoothness; one colour per group."""
    found = in_columns(evidence, MOST_COLUMNS)
    cells = first_columns(found, MOST_COLUMNS)
    names = list(dict.fromkeys(cells["panel"]))
    figure, axes = panels(1 + len(BELOW), len(names), height=5.2, wide=len(names) > 2)
    title(figure, description(cells, evidence, of=found))
    if data.empty:
        unfinished(axes, cells)
        return figure
    colors = palette(cells["group"])
    for column, name in enumerate(names):
        _column(axes[column :: len(names)], data[data["panel"] == name], colors)
        panel_title(axes[column], name)
    axes[0].set_ylabel("loss")
    log_scale(axes[0], data[data["quantity"].isin([LOWEST, HIGHEST])])
    for row, (quantity, words) in enumerate(BELOW.items(), start=1):
        first = axes[row * len(names)]
        first.set_ylabel(f"{words} ${QUANTITIES[quantity].symbol}$" if quantity.startswith("eff") else words)
        log_scale(first, data[data["quantity"] == quantity])
    for last in axes[-len(names) :]:
        epochs(last, data["epoch"])
        last.set_xlabel("epoch")
    figure.align_ylabels()
    legend(figure, handles(colors), below=True)
    return figure


def _column(axes: Sequence[Axes], data: pd.DataFrame, colors: dict[str, str]) -> None:
    _ranges(axes[0], data, colors)
    for panel, quantity in zip(axes[1:], BELOW, strict=True):
        for group, curve in data[data["quantity"] == quantity].groupby("group", sort=False):
            band(panel, curve, colors[str(group)], dots=True)


def _ranges(panel: Axes, data: pd.DataFrame, colors: dict[str, str]) -> None:
    """An area between the lowest and the highest loss of each group."""
    for group, own in data.groupby("group", sort=False):
        wide = own[own["quantity"].isin([LOWEST, HIGHEST])].pivot_table(
            index="epoch", columns="quantity", values="mean"
        )
        color = colors[str(group)]
        panel.fill_between(wide.index, wide[LOWEST], wide[HIGHEST], color=color, alpha=0.15, linewidth=0)
        for quantity in (LOWEST, HIGHEST):
            panel.plot(wide.index, wide[quantity], color=color, linewidth=0.8)
