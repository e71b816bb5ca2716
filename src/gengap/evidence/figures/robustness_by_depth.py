"""How much a layer's reset costs, against depth (Zhang, Bengio and Singer 2019, arXiv:1902.01996)."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gengap.errors import UserError
from gengap.evidence.figures.drawing import (
    GREY,
    band,
    handle,
    handles,
    legend,
    panels,
    sequential,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence, lacking
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Rise in test error after a layer's reset, mean over layers, against depth.",
    "needs": ("error_rise_after_reset", "error_rise_after_rerandomization"),
    "varies": {"model.depth": 2},
    "caption": """\
**Robustness of layers against depth** (study ``{{ snakemake.wildcards.study }}``; after Zhang, Bengio and Singer 2019,
arXiv:1902.01996). The rise in test error when one layer goes back to its initial weights (above) or is redrawn (below),
mean over the layers, in percentage points; nothing is trained. One line per group of networks that were trained at
several depths; the line above the panels counts the others. Lines are means over the finished seeds, bands reach from
the smallest to the largest. A mean over layers falls with depth even if one layer alone mattered: dotted is the rise at
the smallest depth, times its number of layers over the number of layers, output included. *What to look for:* a solid
line that falls below its dotted one.
""",
}

DEPTH = "depth"
SHOWN = ("error_rise_after_reset", "error_rise_after_rerandomization")
DILUTED = (0, (1, 1))


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of both rises [percentage points], by group and depth; ``diluted`` is the dotted line.

    Raises:
        UserError: If there is no group of several depths.
    """
    if SHOWN[0] not in evidence.cells:
        raise lacking(evidence, SHOWN[0], "layer_reset")
    rows = []
    for at, cells in grouped(shown(evidence), ["group", DEPTH]):
        for quantity in SHOWN:
            values = cells.loc[cells["status"] == "finished", quantity].dropna() * QUANTITIES[quantity].scale
            found = {"n": len(values), "mean": values.mean(), "min": values.min(), "max": values.max()}
            rows.append({**at, DEPTH: float(at[DEPTH]), "quantity": quantity, **found})
    table = pd.DataFrame(rows).sort_values(DEPTH, kind="stable")
    first = table.dropna(subset="mean").drop_duplicates(["group", "quantity"]).set_index(["group", "quantity"])
    start = table[["group", "quantity"]].merge(first, how="left", left_on=["group", "quantity"], right_index=True)
    diluted = start["mean"].to_numpy() * (start[DEPTH].to_numpy() + 1) / (table[DEPTH].to_numpy() + 1)
    return table.assign(diluted=diluted).reset_index(drop=True)


def shown(evidence: Evidence) -> pd.DataFrame:
    """The cells of the groups that were trained at several depths."""
    if DEPTH in evidence.axes:
        cells = labelled(evidence, apart=[DEPTH])
        cells = cells.assign(**{DEPTH: pd.to_numeric(cells[DEPTH], errors="coerce")}).dropna(subset=DEPTH)
        cells = cells[cells.groupby("group")[DEPTH].transform("nunique") > 1]
    if DEPTH not in evidence.axes or cells.empty:
        raise UserError(
            f"study '{evidence.study['name']}': no networks of several depths. Give model.depth several values in "
            "`grid`, or remove 'robustness_by_depth' from `figures`."
        )
    return cells.reset_index(drop=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """The reset above, the redraw below; one colour per group."""
    cells = shown(evidence)
    figure, axes = panels(len(SHOWN), height=4.2)
    title(figure, description(cells, evidence, of=labelled(evidence, apart=[DEPTH])))
    names = list(data["group"].unique())
    colors = dict(zip(names, sequential(len(names)), strict=True))
    for axis, quantity in zip(axes, SHOWN, strict=True):
        own = data[(data["quantity"] == quantity) & (data["n"] > 0)]
        axis.set_ylabel(f"rise after {'reset' if quantity == SHOWN[0] else 'redraw'} [points]")
        if own.empty:
            unfinished([axis], cells, alone=False)
        for group, curve in own.groupby("group", sort=False):
            band(axis, curve, colors[str(group)], x=DEPTH, dots=True)
            axis.plot(curve[DEPTH], curve["diluted"], color=colors[str(group)], linestyle=DILUTED, linewidth=0.8)
    axes[-1].set_xlabel("hidden layers")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    diluted = handle("as if one layer alone mattered", color=GREY, linestyle=DILUTED, linewidth=0.8)
    legend(figure, [*handles(colors), diluted], below=True)
    return figure
