"""Epochs that every network was trained: replace this by one sentence on what NAME shows."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import handles, legend, palette, panels, title, unfinished
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Epochs that every network was trained.",
    "caption": """\
**Epochs that every network was trained** (study ``{{ snakemake.wildcards.study }}``). One dot per finished network, one
colour per group of networks that differ only in their seed. *What to look for:* say here what a reader should see.
""",
}

_POINTS: dict[str, Any] = {"marker": "o", "markersize": 3, "linestyle": "none"}


def data(evidence: Evidence) -> pd.DataFrame:
    """Exactly what is plotted: ``group`` and ``epochs_trained`` of the finished networks."""
    cells = labelled(evidence)
    return cells.loc[cells["status"] == "finished", ["group", "epochs_trained"]].reset_index(drop=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One dot per network, in the order of the groups."""
    cells = labelled(evidence)
    figure, (axes,) = panels(1, height=2.4)
    title(axes, description(cells, evidence))
    if data.empty:
        unfinished([axes], cells)
        return figure
    colors = palette(data["group"])
    for group, points in data.groupby("group", sort=False):
        axes.plot(points.index, points["epochs_trained"], color=colors[str(group)], **_POINTS)
    axes.set_xlabel("network")
    axes.set_ylabel("epochs trained")
    legend(figure, handles(colors, **_POINTS))
    return figure
