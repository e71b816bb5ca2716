"""How much the layers before it change a layer's gradient, over training (Santurkar et al. 2018, Fig. 2)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import (
    band,
    epochs,
    handle,
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

PART = {
    "summary": "Internal covariate shift of a middle and the last layer, as norm and cosine, over training.",
    "needs": ("covariate_shift", "covariate_shift_cosine"),
    "caption": """\
**Internal covariate shift** (study ``{{ snakemake.wildcards.study }}``; Santurkar et al. 2018, Fig. 2). How much the
gradient of a layer's weights changes when all layers before it take one step: the norm of the change (above) and the
cosine of both gradients (below), of the layer in the middle (solid) and the last one (dashed). Means over batches and
finished seeds, bands from the smallest to the largest seed. With more than four groups, settings that a panel has no
room for have a column for each value, three at most. *What to look for:* whether the cosine is nearer to 1 with
BatchNorm; the norm also grows with the gradient itself.
""",
}

SHOWN = {"covariate_shift": "change of the gradient", "covariate_shift_cosine": "cosine"}
PLACES = {"middle layer": "-", "last layer": (0, (3, 1.5))}
MOST_COLUMNS = 3


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of both measures at each saved epoch, by group and ``place`` of the layer."""
    measured(evidence, "covariate_shift", "landscape")
    rows = evidence.measurements
    rows = rows[rows["quantity"].isin(SHOWN) & (rows["layer"] != "") & np.isfinite(rows["value"])]
    order = rows.groupby("cell", sort=False)["layer"].agg(lambda layers: list(dict.fromkeys(layers)))
    places = {
        (cell, layer): place
        for cell, layers in order.items()
        for place, layer in zip(PLACES, (layers[len(layers) // 2], layers[-1]), strict=True)
    }
    named = [places.get(key) for key in zip(rows["cell"], rows["layer"], strict=True)]
    rows = rows.assign(place=named).dropna(subset="place")
    cells = first_columns(in_columns(evidence, MOST_COLUMNS), MOST_COLUMNS)
    return curves(rows.merge(cells[["cell", "panel"]], on="cell"), cells, by=["panel", "place"])


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """The norm above the cosine; one colour per group, the last layer dashed."""
    found = in_columns(evidence, MOST_COLUMNS)
    cells = first_columns(found, MOST_COLUMNS)
    names = list(dict.fromkeys(cells["panel"]))
    figure, axes = panels(len(SHOWN), len(names), height=4.2, wide=len(names) > 2)
    title(figure, description(cells, evidence, of=found))
    if data.empty:
        unfinished(axes, cells)
        return figure
    colors = palette(cells["group"])
    for number, panel in enumerate(axes):
        quantity, name = list(SHOWN)[number // len(names)], names[number % len(names)]
        own = data[(data["quantity"] == quantity) & (data["panel"] == name)]
        for at, curve in own.groupby(["group", "place"], sort=False):
            group, place = map(str, at)
            band(panel, curve, colors[group], PLACES[place])
        if number < len(names):
            panel_title(panel, name)
    for row, words in enumerate(SHOWN.values()):
        axes[row * len(names)].set_ylabel(words)
    log_scale(axes[0], data[data["quantity"] == "covariate_shift"])
    for last in axes[-len(names) :]:
        epochs(last, data["epoch"])
        last.set_xlabel("epoch")
    figure.align_ylabels()
    styles = [handle(name, color="0.35", linestyle=style) for name, style in PLACES.items()]
    legend(figure, [*handles(colors), *styles], below=True)
    return figure
