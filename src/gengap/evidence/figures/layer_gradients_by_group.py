"""Gradient norm of every layer over the first epochs, a small panel per group (Song 2019, Fig. 4.5)."""

import math
import textwrap

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import (
    CHARACTERS,
    band,
    depth_handles,
    depths,
    legend,
    log_scale,
    note,
    palette,
    title,
    unfinished,
    width,
)
from gengap.evidence.figures.groups import curves, description, labelled
from gengap.evidence.figures.layer_gradients import first_rows
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES

PART = {
    "summary": "As `layer_gradients`, for up to nine groups, with all of their ratios in one panel.",
    "options": {
        "first_epochs": {"type": "float", "default": 5.0, "gt": 0, "meaning": "Epochs from the start that are shown."},
    },
    "needs_until": "first_epochs",
    "needs": (
        "layer_gradient_norm",
        "gradient_ratio",
    ),
    "caption": """\
**Gradient norm of each layer in the first epochs, group by group** (study ``{{ snakemake.wildcards.study }}``; after
Song 2019, Fig. 4.5). Small panels, all on the same axes: Frobenius norm of the gradient of the mean training loss with
respect to each layer's weights, from the input over those between (dark to light) to the output, as medians over
the finished seeds, over the first 5 epochs (option ``first_epochs``); biases and BatchNorm's parameters are left out.
Lowest panel: the largest of these norms divided by the smallest, its median in the colours of the panels' titles, with
the range over seeds as a band where there are at most three groups. BatchNorm uses the mode of the probe ``gradient``.
*What to look for:* whether a balanced start stays balanced once training begins.
""",
}

COLUMNS = 3
MOST_PANELS = 9


def data(evidence: Evidence) -> pd.DataFrame:
    """Median and range over seeds of each layer's gradient norm, and of their ratio with an empty ``layer``.

    Layers are in the order of the network; see `gengap.evidence.figures.groups.curves`.
    """
    return curves(first_rows(evidence), shown(evidence), by=["layer"])


def shown(evidence: Evidence) -> pd.DataFrame:
    """The cells of the first groups: more panels than these would not be legible."""
    cells = labelled(evidence, extremes=True)
    return cells[cells["group"].isin(cells["group"].unique()[:MOST_PANELS])].reset_index(drop=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Small panels of the layers; below them the ratio, a colour per group."""
    cells = shown(evidence)
    colors = palette(cells["group"])
    columns = min(COLUMNS, len(colors))
    rows = math.ceil(len(colors) / columns)
    figure = Figure(figsize=(width(), 1.6 + 1.15 * rows + 0.12 * len(colors)))
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=[1.0] * rows + [1.4])
    first = figure.add_subplot(grid[0, 0])
    places = [divmod(place, columns) for place in range(1, len(colors))]
    panels = [first, *(figure.add_subplot(grid[place], sharex=first, sharey=first) for place in places)]
    lower = figure.add_subplot(grid[rows, :])
    layers = data[data["layer"] != ""]
    by_layer = depths(list(layers["layer"].unique()))
    for place, (name, panel) in enumerate(zip(colors, panels, strict=True)):
        if len(colors) > 1:
            panel.set_title(_broken(name, columns), fontsize="small", color=colors[name], pad=2)
        own = layers[layers["group"] == name]
        if own.empty:
            unfinished([panel], cells[cells["group"] == name], narrow=True, alone=data.empty)
        for layer, curve in own.groupby("layer", sort=False):
            panel.plot(
                curve["epoch"], curve["median"], color=by_layer[str(layer)], marker=".", markersize=2, linewidth=1
            )
        panel.tick_params(labelleft=place % columns == 0, labelbottom=place + columns >= len(colors), labelsize="small")
    lower.set_xlabel("epoch")
    lower.set_ylabel("largest /\nsmallest")
    first.set_ylabel(f"${QUANTITIES['layer_gradient_norm'].symbol}$")
    if len(layers):
        log_scale(first, layers.assign(**dict.fromkeys(("mean", "min", "max"), layers["median"])))
        ratios, many = data[data["layer"] == ""], len(colors) > 3
        for group, curve in ratios.groupby("group", sort=False):
            band(lower, curve.assign(n=1) if many else curve, colors[str(group)], of="median", dots=True)
        log_scale(lower, ratios.assign(**dict.fromkeys(("mean", "min", "max"), ratios["median"])) if many else ratios)
    else:
        note(lower, "")
    title(figure, description(cells, evidence, of=labelled(evidence, extremes=True), extremes=True))
    legend(figure, depth_handles(by_layer), below=True)
    return figure


def _broken(name: str, columns: int) -> str:
    """A group's name in lines that a small panel is wide for."""
    return textwrap.fill(name, int(0.8 * CHARACTERS * width() / columns) - 4, break_long_words=False)
