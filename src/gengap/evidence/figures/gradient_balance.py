"""Gradient norm of every layer before the first step, and their max/min ratio (Song 2019, Fig. 4.1)."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from gengap.errors import UserError
from gengap.evidence.figures.drawing import BAND, log_scale, palette, title, unfinished, width
from gengap.evidence.figures.groups import ALL, curves, description, labelled
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Gradient norm of each layer at the start, and their max/min ratio.",
    "needs_until": 0,
    "needs": (
        "layer_gradient_norm",
        "gradient_ratio",
    ),
    "caption": """\
**Gradient norm of each layer at the start** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Fig. 4.1).
Upper panel: Frobenius norm of the gradient of the mean training loss with respect to each layer's weights at epoch 0,
layers from the input to the output, medians over the finished seeds and, as bands, their ranges; biases and BatchNorm's
parameters are left out. Lower panel: the largest of these norms divided by the smallest, for the group that is named at
the left: the median, and as a bar the range over seeds. BatchNorm uses the mode of the probe ``gradient``. *What to
look for:* rules that rescale the layers in front of a BatchNorm make their norms equal and leave the output layer's as
it was, since the function does not change; with ``+gamma`` it matches too.
""",
}

RATIO = "gradient_ratio"
LONGEST = 22  # characters in a line of a name


def data(evidence: Evidence) -> pd.DataFrame:
    """Median and range over seeds of each layer's gradient norm at epoch 0, and of their ratio with an empty ``layer``.

    Layers are in the order of the network; see `gengap.evidence.figures.groups.curves`.
    """
    wanted = [measured(evidence, quantity, "gradient") for quantity in ("layer_gradient_norm", RATIO)]
    rows = pd.concat(wanted, ignore_index=True)
    start = rows[rows["epoch"] == 0]
    if start.empty:
        raise UserError(
            f"study '{evidence.study['name']}': no layer gradients were measured at epoch 0. Let the probe 'gradient' "
            "measure at `epochs: snapshots`."
        )
    return curves(start, labelled(evidence, extremes=True), by=["layer"])


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Above, a line per group over the layers from input to output; below, the ratio of each group with its range."""
    cells = labelled(evidence, extremes=True)
    colors = palette(cells["group"])
    names = {name: textwrap.fill(name, LONGEST, break_long_words=False) if name != ALL else "" for name in colors}
    lines = sum(1.3 + name.count("\n") for name in names.values())
    figure = Figure(figsize=(width(), 2.6 + 0.14 * lines))
    upper, lower = figure.subplots(2, 1, height_ratios=[2.2, 0.4 + 0.14 * lines])
    title(upper, description(cells, evidence, extremes=True))
    upper.set_ylabel(QUANTITIES["layer_gradient_norm"].axis)
    lower.set_xlabel(QUANTITIES[RATIO].label)
    if data.empty:
        unfinished((upper, lower), cells)
        return figure
    profiles, ratios = data[data["layer"] != ""], data[data["layer"] == ""]
    layers = list(profiles["layer"].unique())
    for name, own in profiles.groupby("group", sort=False):
        curve = own.set_index("layer").reindex(layers)
        along, color = range(len(layers)), colors[str(name)]
        upper.plot(along, curve["median"], color=color, marker="o", markersize=3)
        if own["n"].max() > 1:
            upper.fill_between(along, curve["min"], curve["max"], color=color, alpha=BAND / 2, linewidth=0)
    upper.set_xticks(range(len(layers)), layers, rotation=35, ha="right", fontsize="small")
    log_scale(upper, profiles)
    heights = [1.3 + names[name].count("\n") for name in ratios["group"]]
    places = np.cumsum(heights) - np.array(heights) / 2  # as far apart as the names need
    for place, (_, row) in zip(places, ratios.iterrows(), strict=True):
        color = colors[row["group"]]
        lower.plot([row["min"], row["max"]], [place, place], color=color, linewidth=1)
        lower.plot(row["median"], place, color=color, marker="o", markersize=4)
    lower.set_yticks(places, [names[name] for name in ratios["group"]], fontsize="small")
    for label, name in zip(lower.get_yticklabels(), ratios["group"], strict=True):
        label.set_color(colors[name])
    lower.set_ylim(sum(heights), 0)
    lower.grid(visible=False, axis="y")
    lower.set_xscale("log")
    finite = ratios["max"][ratios["max"] < float("inf")]
    lower.set_xlim(0.9, 1.3 * max([2.0, *finite]))
    lower.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max([1.0, *finite]) < 200 else (1,)))
    lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    lower.xaxis.set_minor_locator(NullLocator())
    return figure
