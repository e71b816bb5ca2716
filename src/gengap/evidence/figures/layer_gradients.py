"""Gradient norm of every layer over the first epochs, and their max/min ratio (Song 2019, Fig. 4.5)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gengap.errors import UserError
from gengap.evidence.figures.drawing import BAND, depth_handles, depths, legend, log_scale, panels, title, unfinished
from gengap.evidence.figures.groups import WIDTH, curves, description, labelled
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Gradient norm of each layer, first epochs.",
    "options": {
        "first_epochs": {"type": "float", "default": 5.0, "gt": 0, "meaning": "Epochs from the start that are shown."},
    },
    "needs_until": "first_epochs",
    "needs": (
        "layer_gradient_norm",
        "gradient_ratio",
    ),
    "caption": """\
**Gradient norm of each layer in the first epochs** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Fig.
4.5). Upper panels: Frobenius norm of the gradient of the mean training loss with respect to each layer's weights, from
the input over those between (dark to light) to the output, as medians over the finished seeds, over the first 5
epochs (option ``first_epochs``); biases and BatchNorm's parameters are left out. Lower panels: the largest of these
norms divided by the smallest, its median, and as a band its range over seeds. One column for the narrowest and one for
the widest networks, both on the same axes. BatchNorm uses the mode of the probe ``gradient``; see ``batchnorm`` in the
CSV. *What to look for:* how unequal the layers are at the start, whether training evens them out, and whether narrow
networks are the less balanced ones.
""",
}

MOST_PANELS = 4


def data(evidence: Evidence) -> pd.DataFrame:
    """Median and range over seeds of each layer's gradient norm, and of their ratio with an empty ``layer``.

    Layers are in the order of the network; see `gengap.evidence.figures.groups.curves`.
    """
    return curves(first_rows(evidence), shown(evidence), by=["layer"])


def first_rows(evidence: Evidence) -> pd.DataFrame:
    """Measurements of the layers' gradient norms and their ratio in the first epochs.

    Raises:
        UserError: If there are none.
    """
    epochs = evidence.options["first_epochs"]
    wanted = [measured(evidence, quantity, "gradient") for quantity in ("layer_gradient_norm", "gradient_ratio")]
    rows = pd.concat(wanted, ignore_index=True)
    first: pd.DataFrame = rows[rows["epoch"] <= epochs]
    if first.empty:
        raise UserError(
            f"study '{evidence.study['name']}': no layer gradients were measured in the first {epochs:g} epochs. "
            "Add such epochs to `base.training.snapshots`, and let the probe 'gradient' measure at `epochs: snapshots`."
        )
    return first


def shown(evidence: Evidence) -> pd.DataFrame:
    """The cells of the first groups of either width: more panels than these would not be legible."""
    cells = labelled(evidence, extremes=True)
    widths = [part for _, part in grouped(cells, [WIDTH] if WIDTH in evidence.axes else [])]
    names = [name for part in widths for name in part["group"].unique()[: MOST_PANELS // len(widths)]]
    return cells[cells["group"].isin(names)].reset_index(drop=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A column of panels per group: the layers above, their ratio below."""
    cells = shown(evidence)
    names = list(cells["group"].unique())
    figure, axes = panels(2, len(names), height=3.7, ratios=[3, 2], wide=len(names) > 2)
    layers_only = data[data["layer"] != ""]
    layers_only = layers_only.assign(**dict.fromkeys(("mean", "min", "max"), layers_only["median"]))
    layers = list(layers_only["layer"].unique())
    colors = depths(layers)
    for column, group in enumerate(names):
        upper, lower = axes[column], axes[len(names) + column]
        small: dict[str, Any] = {"fontsize": "small"} if len(names) > 2 else {}
        upper.set_title(group.replace(", ", "\n") if len(names) > 1 else "", loc="center", **small)
        own = data[data["group"] == group]
        if own.empty:
            unfinished((upper, lower), cells[cells["group"] == group], narrow=True, alone=data.empty)
            continue
        for layer, curve in own[own["layer"] != ""].groupby("layer", sort=False):
            upper.plot(curve["epoch"], curve["median"], color=colors[str(layer)], marker=".", markersize=3)
        ratio = own[own["layer"] == ""]
        lower.plot(ratio["epoch"], ratio["median"], color="0.2", marker=".", markersize=3)
        lower.fill_between(ratio["epoch"], ratio["min"], ratio["max"], color="0.2", alpha=BAND, linewidth=0)
        lower.set_xlabel("epoch")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6 if len(names) < 3 else 3))
    for first, label, own in (
        (axes[0], f"gradient norm ${QUANTITIES['layer_gradient_norm'].symbol}$", layers_only),
        (axes[len(names)], "largest / smallest", data[data["layer"] == ""]),
    ):
        log_scale(first, own)
        first.set_ylabel(label)
    figure.align_ylabels()
    title(figure, description(cells, evidence, of=labelled(evidence, extremes=True), extremes=True))
    legend(figure, depth_handles(colors), below=True)
    return figure
