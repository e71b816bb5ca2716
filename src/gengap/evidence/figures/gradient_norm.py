"""Norm of the full gradient while training, narrowest against widest network (Song 2019, Fig. 3.2)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import (
    band,
    beside,
    epochs,
    handles,
    legend,
    log_scale,
    palette,
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import ALL, curves, description, labelled
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Norm of the full gradient while training.",
    "needs": ("gradient_norm",),
    "caption": """\
**Norm of the full gradient while training** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Fig. 3.2).
Euclidean norm of the gradient of the mean training loss over all parameters, at the saved epochs, for the narrowest and
the widest networks. Lines are medians over the finished seeds, bands reach from the smallest to the largest; a network
that stopped early keeps its last value, and a gradient of exactly 0 leaves the logarithmic axis downwards. BatchNorm
uses the mode of the probe ``gradient`` (statistics of the whole training set, held constant, unless the study says
otherwise; see ``batchnorm`` in the CSV): other modes give other norms. *What to look for:* a norm that stays clearly
above 0 says that the network has not stopped at a stationary point, so poor training is no proof of a local minimum.
""",
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Median and range over seeds of the gradient norm at each measured epoch, as `groups.curves` gives them."""
    return curves(measured(evidence, "gradient_norm", "gradient"), labelled(evidence, extremes=True))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One line per group on a logarithmic axis; a gradient of exactly 0 leaves it downwards."""
    cells = labelled(evidence, extremes=True)
    figure, (axes,) = panels(1, height=2.4)
    title(axes, description(cells, evidence, extremes=True))
    axes.set_ylabel(QUANTITIES["gradient_norm"].axis)
    if data.empty:
        unfinished([axes], cells)
        return figure
    colors = palette(data["group"])
    for group, curve in data.groupby("group", sort=False):
        band(axes, curve, colors[str(group)], of="median", dots=True)
    log_scale(axes, data)
    epochs(axes, data["epoch"])
    axes.set_xlabel("epoch")
    last = data.sort_values("epoch").groupby("group", sort=False)["median"].last()
    if not beside(axes, {group: (last[group], colors[group]) for group in colors if group != ALL}):
        legend(figure, handles(colors))
    return figure
