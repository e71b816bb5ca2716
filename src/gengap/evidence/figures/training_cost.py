"""Learning curves, curvature and learning rate against what training cost (Song 2019, chapter 3, 'Hessian')."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gengap.evidence.costs import common_cost, held, with_costs
from gengap.evidence.figures.drawing import (
    SPLITS,
    band,
    handles,
    legend,
    log_scale,
    note,
    palette,
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import curves, description, labelled
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Learning curves, curvature and learning rate against gradient evaluations.",
    "caption": """\
**Learning curves against what training cost** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, chapter 3).
The unit is one gradient of the whole training set: a pass over the data counts as 1 for every batch size, and a
product of the Hessian with a vector, of which measuring its largest eigenvalue takes some, as 2 (Pearlmutter 1994).
Lines are means over the finished seeds, bands reach from the smallest to the largest; at each cost a network's value is
that of its last evaluation at or before it, and the axis ends at the cost that every network reached. Train solid, test
dashed. Curvature is the largest eigenvalue of the Hessian of what training minimises, drawn where the schedule measured
it; accuracy and loss use the BatchNorm statistics that ``training.batchnorm`` names. *What to look for:* whether
dividing the learning rate by the curvature pays for the products that measure it.
""",
}

# Label, and the quantities of each panel by how they are drawn.
PANELS = {
    "accuracy [%]": {f"{split}_accuracy": style for split, style in SPLITS.items()},
    "loss": {f"{split}_loss": style for split, style in SPLITS.items()},
    f"curvature ${QUANTITIES['hessian_largest'].symbol}$": {"hessian_largest": "-"},
    f"learning rate ${QUANTITIES['lr'].symbol}$": {"lr": "-"},
}
POINTS = 200


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds at equal costs, up to the cost that every finished cell reached.

    Returns:
        As `gengap.evidence.figures.groups.curves`, with ``cost`` in the place of the epoch: at each, a cell's value is
        that of its last evaluation at or before it.

    Raises:
        UserError: If the cost of a network is unknown.
    """
    end = common_cost(evidence)
    points = np.unique(np.append(np.round(np.linspace(0.0, end, POINTS)), end))
    history = with_costs(evidence)
    shown = [quantity for panel in PANELS.values() for quantity in panel]
    rows = held(history[history["quantity"].isin(shown)], points)
    return curves(rows.rename(columns={"cost": "epoch"}), labelled(evidence)).rename(columns={"epoch": "cost"})


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Accuracy, loss, curvature where it was measured, and learning rate; one colour per group."""
    cells = labelled(evidence)
    figure, axes = panels(len(PANELS), height=5.6, ratios=[3, 3, 2, 2])
    title(axes[0], description(cells, evidence))
    if data.empty:
        unfinished(axes, cells)
        return figure
    colors = palette(data["group"])
    for panel, (label, quantities) in zip(axes, PANELS.items(), strict=True):
        for quantity, style in quantities.items():
            for group, curve in data[data["quantity"] == quantity].groupby("group", sort=False):
                band(panel, curve, colors[str(group)], style, x="cost")
        panel.set_ylabel(label)
        if not data["quantity"].isin(list(quantities)).any():
            note(panel, "not measured", alone=False)
        elif not label.startswith("accuracy"):
            log_scale(panel, data[data["quantity"].isin(list(quantities))])
    axes[-1].set_xlim(0, data["cost"].max() or 1.0)  # linear: equal lengths are equal costs
    axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes[-1].set_xlabel(QUANTITIES["gradient_evaluations"].label)
    figure.align_ylabels()
    legend(figure, handles(colors, SPLITS))
    return figure
