"""How far the norms of filters drift in training, against the learning rate (Luck Matters 2019, theorem 3)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import GREY, handle, handles, legend, palette, panels, title, unfinished
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import Evidence, measured
from gengap.evidence.node_curves import at_end, by_layer

PART = {
    "summary": "Drift of the squared fan-in norms against the learning rate.",
    "needs": ("fan_in_norm_drift",),
    "caption": """\
**Drift of the filters' norms against the learning rate** (study ``{{ snakemake.wildcards.study }}``; Tian et al. 2019,
theorem 3). Mean over the nodes of all hidden layers of the relative change of the squared norm of what enters a node,
bias included, after the same number of steps; both axes logarithmic. Points are means over the finished seeds, those
that have not learned anything yet among them, bars their 95 % confidence intervals (Student's t). The dashed line has
slope 2: where gradient flow conserves the norm, a step of plain gradient descent adds the squared rate times the
squared gradient. *What to look for:* slope 2 with BatchNorm before or after the activation, slope 1 without.
""",
}

RATE = "lr"
COLUMNS = ["group", RATE, "n", "drift", "low", "high"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean drift over seeds with its interval, by group and learning rate.

    Raises:
        UserError: If the study lacks the probe ``node_norms``.
    """
    measured(evidence, "fan_in_norm_drift", "node_norms")
    evidence = evidence.with_stuck()
    drifts = at_end(by_layer(evidence, "fan_in_norm_drift")).mean(axis=1)
    cells = shown(evidence)
    rows = []
    for at, part in grouped(cells[cells["cell"].isin(drifts.index)], ["group", RATE]):
        ours = interval(drifts[part["cell"]])
        rows.append((at["group"], float(at[RATE]), ours.n, ours.mean, *ours.of_mean))
    return pd.DataFrame(rows, columns=COLUMNS)


def shown(evidence: Evidence) -> pd.DataFrame:
    """All cells by group, the learning rate left out of the groups' names."""
    cells = labelled(evidence.with_stuck(), apart=[RATE])
    return cells if RATE in cells else cells.assign(**{RATE: evidence.study["fixed"][RATE]})


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Both axes logarithmic, one colour per group, and a line of slope 2."""
    figure, (axes,) = panels(1, height=2.6)
    colors = palette(data["group"])
    for at, part in grouped(data, ["group"]):
        curve = part.sort_values(RATE)
        below = curve["drift"] - curve["low"].clip(lower=curve["drift"] / 10)  # an axis of logarithms ends above 0
        error = np.nan_to_num([below, curve["high"] - curve["drift"]])
        axes.errorbar(curve[RATE], curve["drift"], error, color=colors[at["group"]], marker="o", markersize=3)
    rates = np.sort(data[RATE].unique())
    if len(rates):
        least = data.loc[data[RATE] == rates[0], "drift"].min()
        axes.plot(rates, least / 2 * (rates / rates[0]) ** 2, color=GREY, linestyle="--", linewidth=0.8)
        axes.set(xscale="log", yscale="log")
    else:
        unfinished([axes], evidence.cells)
    axes.set(xlabel="learning rate", ylabel="relative drift of $\\|w_k\\|^2$")
    title(figure, description(shown(evidence), evidence))
    legend(figure, [*handles(colors), handle("slope 2", color=GREY, linestyle="--")], below=True)
    return figure
