"""Correlation with the teacher's nodes and rank of the winners against epochs (Luck Matters 2019, Figs. 7 to 9)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import (
    GREY,
    band,
    epochs,
    handle,
    handles,
    legend,
    panels,
    sequential,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import curves, description, first_groups, labelled
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Correlation with the teacher's nodes and rank of the winners against epochs.",
    "needs": ("best_node_correlation",),
    "caption": """\
**Correlation with the teacher's nodes, and rank of the winners, against epochs** (study
``{{ snakemake.wildcards.study }}``; after Tian et al. 2019, Figs. 7 to 9). Above: mean over teacher nodes of the
correlation with the student that correlates most, and in grey what chance gives, from images that the teacher saw in
another order. Below: mean rank, at each epoch, of the students that correlate most after training: 0 is first, 1 last,
0.5 chance (dotted). One colour per hidden layer, dark is the first; lines are means over the finished seeds, bands
reach from the smallest to the largest. Four groups of networks at most. Beyond 10 epochs their axis is linear up to 1
and logarithmic from there. *What to look for:* winners whose rank is far below 0.5 before training, and low layers that
come closest to 1.
""",
}

RHO, CHANCE, RANK = "best_node_correlation", "best_node_correlation_by_chance", "final_winner_rank"
MOST = 4


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds by group, quantity, layer and epoch; see `gengap.evidence.figures.groups.curves`."""
    measured(evidence, RHO, "node_correlation")
    rows = evidence.measurements
    rows = rows[rows["quantity"].isin((RHO, CHANCE, RANK)) & (rows["probe"] == "node_correlation")]
    return curves(rows, first_groups(evidence, MOST), by=["layer"])


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Correlation above rank, a column per group, a colour per layer."""
    cells = first_groups(evidence, MOST)
    groups = list(dict.fromkeys(cells["group"]))
    figure, axes = panels(2, len(groups), height=3.4, wide=len(groups) > 2)
    depth = max((part["layer"].nunique() for _, part in data.groupby("group")), default=1)
    colors = sequential(depth)
    for place, group in enumerate(groups):
        upper, lower = axes[place], axes[place + len(groups)]
        own = data[data["group"] == group]
        if len(groups) > 1:
            upper.set_title(group.replace(", ", "\n"), loc="center", fontsize="small")
        if own.empty:
            unfinished((upper, lower), cells[cells["group"] == group], narrow=True, alone=data.empty)
            continue
        for color, (_, curve) in zip(colors, own.groupby("layer", sort=False), strict=False):
            band(upper, curve[curve["quantity"] == CHANCE], GREY, ":")
            band(upper, curve[curve["quantity"] == RHO], color)
            band(lower, curve[curve["quantity"] == RANK], color)
        lower.axhline(0.5, color=GREY, linestyle=":", linewidth=0.8)
        epochs(lower, data["epoch"])
        upper.set_ylim(0, 1)
        lower.set_ylim(0, max(0.55, 1.05 * data.loc[data["quantity"] == RANK, "max"].max()))
        lower.set_xlabel("epoch")
    axes[0].set_ylabel(f"correlation ${QUANTITIES[RHO].symbol}$")
    axes[len(groups)].set_ylabel(f"rank ${QUANTITIES[RANK].symbol}$")
    figure.align_ylabels()
    title(figure, description(cells, evidence, of=labelled(evidence)))
    entries = handles({f"layer {place}": color for place, color in enumerate(colors, start=1)})
    legend(figure, [*entries, handle("chance", color=GREY, linestyle=":")], below=True)
    return figure
