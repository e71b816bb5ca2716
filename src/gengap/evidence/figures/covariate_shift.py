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
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import curves, description, first_groups, labelled
from gengap.evidence.measurements import Evidence, measured

PART = {
    "summary": "Internal covariate shift of a middle and the last layer, as norm and cosine, over training.",
    "needs": ("covariate_shift", "covariate_shift_cosine"),
    "caption": """\
**Internal covariate shift** (study ``{{ snakemake.wildcards.study }}``; Santurkar et al. 2018, Fig. 2). How much the
gradient of a layer's weights changes when all layers before it take one step: the norm of the change (above) and the
cosine of both gradients (below), of the layer in the middle (solid) and the last one (dashed). Means over batches and
finished seeds, bands from the smallest to the largest seed. At most six groups are shown. *What to look for:* whether
the cosine is nearer to 1 with BatchNorm; the norm also grows with the gradient itself.
""",
}

SHOWN = {"covariate_shift": "change of the gradient", "covariate_shift_cosine": "cosine"}
PLACES = {"middle layer": "-", "last layer": (0, (3, 1.5))}
MOST_GROUPS = 6


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
    return curves(rows, first_groups(evidence, MOST_GROUPS), by=["place"])


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """The norm above the cosine; one colour per group, the last layer dashed."""
    cells = first_groups(evidence, MOST_GROUPS)
    figure, axes = panels(len(SHOWN), height=4.2)
    title(figure, description(cells, evidence, of=labelled(evidence)))
    if data.empty:
        unfinished(axes, cells)
        return figure
    colors = palette(data["group"])
    for panel, (quantity, words) in zip(axes, SHOWN.items(), strict=True):
        own = data[data["quantity"] == quantity]
        for at, curve in own.groupby(["group", "place"], sort=False):
            group, place = map(str, at)
            band(panel, curve, colors[group], PLACES[place])
        panel.set_ylabel(words)
    log_scale(axes[0], data[data["quantity"] == "covariate_shift"])
    epochs(axes[-1], data["epoch"])
    axes[-1].set_xlabel("epoch")
    figure.align_ylabels()
    styles = [handle(name, color="0.35", linestyle=style) for name, style in PLACES.items()]
    legend(figure, [*handles(colors), *styles], below=True)
    return figure
