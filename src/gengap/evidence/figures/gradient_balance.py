"""Gradient norm of every layer before the first step, and their max/min ratio (Song 2019, Fig. 4.1)."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from gengap.errors import UserError
from gengap.evidence.figures.drawing import BAND, handles, legend, log_scale, palette, title, unfinished
from gengap.evidence.figures.groups import curves, description, labelled
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
layers from the input to the output, means and ranges over the finished seeds; biases and BatchNorm's parameters are
left out. Lower panel: the largest of these norms divided by the smallest, its mean and its range over seeds. BatchNorm
uses the mode of the probe ``gradient``. *What to look for:* rules that rescale the layers in front of a BatchNorm make
their norms equal and leave the output layer's as it was, since the function does not change; with ``+gamma`` it matches
too.
""",
}

RATIO = "gradient_ratio"


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of each layer's gradient norm at epoch 0, and of their ratio with an empty ``layer``.

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
    figure = Figure(figsize=(mpl.rcParams["figure.figsize"][0], 3.2 + 0.14 * len(colors)))
    upper, lower = figure.subplots(2, 1, height_ratios=[2.2, 0.4 + 0.22 * len(colors)])
    title(upper, description(cells, evidence))
    upper.set_ylabel(QUANTITIES["layer_gradient_norm"].axis)
    lower.set_xlabel(QUANTITIES[RATIO].label)
    if data.empty:
        unfinished((upper, lower), cells)
        return figure
    profiles, ratios = data[data["layer"] != ""], data[data["layer"] == ""]
    layers = list(profiles["layer"].unique())
    for name, own in profiles.groupby("group", sort=False):
        curve = own.set_index("layer").reindex(layers)
        places, color = range(len(layers)), colors[str(name)]
        upper.plot(places, curve["mean"], color=color, marker="o", markersize=3)
        if own["n"].max() > 1:
            upper.fill_between(places, curve["min"], curve["max"], color=color, alpha=BAND / 2, linewidth=0)
    upper.set_xticks(range(len(layers)), layers, rotation=35, ha="right", fontsize="small")
    log_scale(upper, profiles)
    for place, (_, row) in enumerate(ratios.iterrows()):
        color = colors[row["group"]]
        lower.plot([row["min"], row["max"]], [place, place], color=color, linewidth=1)
        lower.plot(row["mean"], place, color=color, marker="o", markersize=4)
    lower.set_yticks(range(len(ratios)), [""] * len(ratios))
    lower.set_ylim(len(ratios) - 0.4, -0.6)
    lower.grid(visible=False, axis="y")
    lower.set_xscale("log")
    finite = ratios["max"][ratios["max"] < float("inf")]
    lower.set_xlim(0.9, 1.3 * max([2.0, *finite]))
    lower.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max([1.0, *finite]) < 200 else (1,)))
    lower.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    lower.xaxis.set_minor_locator(NullLocator())
    legend(figure, handles(colors))
    return figure
