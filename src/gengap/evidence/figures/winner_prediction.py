"""What tells early which nodes will win: areas under the curve of four numbers against epochs."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import GREY, band, epochs, handles, legend, palette, panels, title, unfinished
from gengap.evidence.figures.groups import curves, description, first_groups, labelled
from gengap.evidence.measurements import Evidence, measured

PART = {
    "summary": "How well four numbers tell at each epoch which nodes will win.",
    "needs": ("winner_auc_by_correlation",),
    "caption": """\
**What tells early which nodes will win** (study ``{{ snakemake.wildcards.study }}``). A winner is a student node that
correlates most with a teacher node after training. Chance that a winner has the larger number, at the epoch, than
another node of its layer (area under the curve; 0.5, dotted, is chance): its best correlation with a teacher node, the
norms of the weights that enter it and that read it, and the norm of the loss's gradient with respect to the former. One
row per group of networks, four at most, one column per hidden layer; lines are means over the finished seeds, bands
reach from the smallest to the largest. *What to look for:* correlations before training that tell winners better than
any norm does.
""",
}

SCORES = {
    "winner_auc_by_correlation": "correlation",
    "winner_auc_by_fan_in": "fan-in norm",
    "winner_auc_by_fan_out": "fan-out norm",
    "winner_auc_by_gradient": "gradient norm",
}
MOST = 4


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds by group, quantity, layer and epoch; see `gengap.evidence.figures.groups.curves`."""
    measured(evidence, next(iter(SCORES)), "winners")
    rows = evidence.measurements[evidence.measurements["quantity"].isin(SCORES)]
    return curves(rows, first_groups(evidence, MOST), by=["layer"])


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A row per group, a column per layer, a colour per number."""
    cells = first_groups(evidence, MOST)
    groups = list(dict.fromkeys(cells["group"]))
    by_group = {group: list(dict.fromkeys(data.loc[data["group"] == group, "layer"])) for group in groups}
    columns = max(1, *(len(layers) for layers in by_group.values()))
    figure, axes = panels(len(groups), columns, height=0.9 + 1.3 * len(groups), wide=columns > 2)
    colors = dict(zip(SCORES, palette(SCORES.values()).values(), strict=True))
    for place, panel in enumerate(axes):
        group, column = groups[place // columns], place % columns
        layers = by_group[group]
        if not layers:
            unfinished([panel] if not column else [], cells[cells["group"] == group], narrow=True, alone=data.empty)
            continue
        if column >= len(layers):
            panel.set_visible(False)
            continue
        panel.axhline(0.5, color=GREY, linestyle=":", linewidth=0.8)
        panel.set_ylim(0, 1.02)
        own = data[(data["group"] == group) & (data["layer"] == layers[column])]
        for quantity, curve in own.groupby("quantity", sort=False):
            band(panel, curve, colors[str(quantity)], dots=True)
        epochs(panel, data["epoch"])
        in_column = [each for each in groups if column < len(by_group[each])]
        if group == in_column[0]:
            panel.set_title(f"layer {column + 1}", loc="center", fontsize="small")
        if not column:
            named = [group.replace(", ", "\n")] if len(groups) > 1 else []
            panel.set_ylabel("\n".join([*named, "area under the curve"]), fontsize="small")
        if group == in_column[-1]:
            panel.set_xlabel("epoch")
            panel.tick_params(labelbottom=True)
    title(figure, description(cells, evidence, of=labelled(evidence)))
    legend(figure, handles(dict(zip(SCORES.values(), colors.values(), strict=True))), below=True)
    return figure
