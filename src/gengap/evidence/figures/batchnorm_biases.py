"""Share of negative BatchNorm biases by layer (Luck Matters 2019, Figs. 6 and 16)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import GREY, handle, handles, legend, palette, panels, title, unfinished
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import Evidence, measured
from gengap.evidence.node_curves import at_end, by_layer, layers

PART = {
    "summary": "Share of negative BatchNorm biases by layer.",
    "needs": ("negative_bias_share",),
    "caption": """\
**Share of negative BatchNorm biases** (study ``{{ snakemake.wildcards.study }}``; after Tian et al. 2019, Figs. 6 and
16). After training, by BatchNorm layer from the input; means over the finished seeds, bars reach from the smallest to
the largest. Before training all biases are 0, and none is negative. *What to look for:* shares above one half (dotted),
the larger the higher the layer.
""",
}

SHARE = "negative_bias_share"
COLUMNS = ["group", "layer", "place", "n", "mean", "min", "max"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds by group and layer.

    Raises:
        UserError: If the study lacks the probe ``batchnorm_bias``.
    """
    measured(evidence, SHARE, "batchnorm_bias")
    table = by_layer(evidence, SHARE)
    shares, rows = at_end(table), []
    for at, cells in grouped(labelled(evidence), ["group"]):
        own = shares.reindex([cell for cell in cells["cell"] if cell in shares.index]).dropna(axis=1, how="all")
        for place, layer in enumerate([name for name in layers(table) if name in own], start=1):
            ours = interval(own[layer].dropna())
            rows.append((at["group"], layer, place, ours.n, ours.mean, ours.min, ours.max))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Points with their range, one colour per group."""
    figure, (axes,) = panels(1, height=2.4)
    colors = palette(data["group"])
    for at, part in grouped(data, ["group"]):
        error = [part["mean"] - part["min"], part["max"] - part["mean"]]
        axes.errorbar(part["place"], part["mean"], error, color=colors[at["group"]], marker="o", markersize=3)
    if data.empty:
        unfinished([axes], labelled(evidence))
    axes.axhline(0.5, color=GREY, linestyle=":", linewidth=0.8)
    axes.set(ylim=(0, 1), xlabel="BatchNorm layer, from input to output", ylabel="share of negative biases")
    title(figure, description(labelled(evidence), evidence))
    legend(figure, [*handles(colors), handle("one half", color=GREY, linestyle=":")], below=True)
    return figure
