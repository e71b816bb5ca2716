"""Layer gradient norms of ResNet-34 along its depth, before training (Song 2019, Fig. 4.4)."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from gengap.counting import span
from gengap.evidence.figures.drawing import BAND, GREY, handle, handles, legend, palette, panels, title
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Layer gradients of ResNet-34 along its depth, a line per variant.",
    "simulation": "resnet34_gradient",
    "caption": """\
**Layer gradients of ResNet-34 along its depth, before training** (study ``{{ snakemake.wildcards.study }}``; after Song
2019, Fig. 4.4). Frobenius norm of the cross-entropy's gradient with respect to each layer's weights, on a logarithmic
axis, from the stem (1) over 32 convolutions of the blocks to the linear layer (34); torchvision's network with a 3 x 3
stem and no max-pool, He initialisation, one batch per draw, BatchNorm with that batch's statistics. Lines are medians
over the draws, bands their whole range; diamonds are the three 1 x 1 convolutions on the shortcuts, which plain blocks
do not have, and which are no part of the ratio R. One panel per kind of input. *What to look for:* a flat and low line
means balanced and small gradients. With BatchNorm and skips the line should be flatter than without either; without
skips, BatchNorm's line rises steeply towards the input.
""",
}

QUANTITY = "layer_gradient_norm"
VARIANT = ["norm", "block"]
COLUMNS = ["dataset", *VARIANT, "layer", "depth", "shortcut", "n", "median", "min", "max"]
SHORTCUT = ".downsample."  # in the name of a 1 x 1 convolution beside a block's two
DATASETS = {"normal": "standard normal pixels"}


def data(evidence: Evidence) -> pd.DataFrame:
    """Median and range over the draws: one row per dataset, variant and layer.

    ``depth`` counts the layers from the input, beginning with 1. A shortcut's is that of its block's second
    convolution: their outputs are added.
    """
    rows = measured(evidence, QUANTITY, "resnet34_gradient")
    values = rows.merge(evidence.cells[["cell", "dataset", *VARIANT]], on="cell", how="inner")
    tables = []
    for at, part in grouped(values, ["dataset", *VARIANT]):
        curve = part.groupby("layer", sort=False)["value"].agg(["count", "median", "min", "max"]).reset_index()
        shortcut = curve["layer"].str.contains(SHORTCUT, regex=False)
        tables.append(curve.rename(columns={"count": "n"}).assign(**at, shortcut=shortcut, depth=(~shortcut).cumsum()))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A panel per dataset, a line per variant with its range, and diamonds for the shortcuts."""
    datasets = list(data["dataset"].unique())
    figure, axes = panels(len(datasets), height=0.9 + 1.75 * len(datasets))
    colors = palette(_variant(at) for at, _ in grouped(data, VARIANT))
    for panel, (of, part) in zip(axes, grouped(data, ["dataset"]), strict=True):
        for at, curve in grouped(part, VARIANT):
            _curve(panel, curve, colors[_variant(at)])
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(numticks=7))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.set_ylabel(f"gradient norm ${QUANTITIES[QUANTITY].symbol}$")
        panel.set_title(DATASETS.get(of["dataset"], of["dataset"]), fontsize="small", color=GREY)
    axes[-1].set_xlabel("layer, from input to output")
    draws = sorted(data["n"].unique())
    title(figure, f"{span(draws[0], draws[-1], 'draw')} of every variant")
    look: dict[str, Any] = {"color": GREY, "linestyle": "none", "marker": "D", "markersize": 3}
    legend(figure, handles(colors) + ([handle("1 × 1 shortcut", **look)] if data["shortcut"].any() else []), below=True)
    return figure


def _curve(axes: Axes, curve: pd.DataFrame, color: str) -> None:
    along, beside = curve[~curve["shortcut"]], curve[curve["shortcut"]]
    axes.plot(along["depth"], along["median"], color=color, marker=".", markersize=3)
    axes.fill_between(along["depth"], along["min"], along["max"], color=color, alpha=BAND, linewidth=0)
    error = [beside["median"] - beside["min"], beside["max"] - beside["median"]]
    look: dict[str, Any] = {
        "markersize": 3,
        "linewidth": 0,
        "elinewidth": 0.8,
        "markeredgecolor": "white",
        "markeredgewidth": 0.4,
    }
    axes.errorbar(beside["depth"], beside["median"], error, color=color, marker="D", zorder=3, **look)


def _variant(at: dict[str, str]) -> str:
    return f"{'BatchNorm' if at['norm'] == 'batchnorm' else 'no BatchNorm'}, {at['block']}"
