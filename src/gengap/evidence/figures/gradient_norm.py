"""Norm of the full gradient while training, narrowest against widest network (Song 2019, Fig. 3.2)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import band, epochs, handles, legend, log_scale, palette, panels, title, unfinished
from gengap.evidence.figures.groups import curves, description, labelled
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of the gradient norm at each measured epoch, as `groups.curves` gives them."""
    return curves(measured(evidence, "gradient_norm", "gradient"), labelled(evidence, extremes=True))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One line per group on a logarithmic axis; a gradient of exactly 0 leaves it downwards."""
    cells = labelled(evidence, extremes=True)
    figure, (axes,) = panels(1, height=2.4)
    title(axes, description(cells, evidence))
    axes.set_ylabel(QUANTITIES["gradient_norm"].axis)
    if data.empty:
        unfinished([axes], cells)
        return figure
    colors = palette(data["group"])
    for group, curve in data.groupby("group", sort=False):
        band(axes, curve, colors[str(group)], dots=True)
    log_scale(axes, data)
    epochs(axes, data["epoch"])
    axes.set_xlabel("epoch")
    legend(figure, handles(colors))
    return figure
