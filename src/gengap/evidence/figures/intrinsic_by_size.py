"""Intrinsic dimensions of networks of several sizes against their weights (Li 2018, Fig. 3)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import GREY, handle, legend, palette, panels, title
from gengap.evidence.figures.groups import description
from gengap.evidence.figures.risk_curves import logarithmic_sizes
from gengap.evidence.intrinsic_dimension import THRESHOLDS, groups, intrinsic_dimensions
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Intrinsic dimension by both thresholds against the number of weights.",
    "needs": ("train_accuracy", "test_accuracy"),
    "varies": {"training.subspace": 2},
    "caption": """\
**Intrinsic dimension against size** (study ``{{ snakemake.wildcards.study }}``; Li et al. 2018, Fig. 3). Smallest
size d of a random subspace in which a network reaches an accuracy of 90 % or 90 % of the whole network's, against the
number D of its weights. Points are medians over seeds, bars reach from the smallest to the largest; an open point
leaves out seeds that reach the threshold at no size. The dashed line is a d in proportion to D, through the smallest
network's. *What to look for:* points on a level, far from the dashed line.
""",
}

COLUMNS = ["network", "weights", "threshold", "n", "not_reached", "median", "min", "max"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Intrinsic dimension by network and threshold: median, smallest and largest of the seeds that reach it."""
    rows = []
    for at, part in groups(evidence):
        found = intrinsic_dimensions(part)
        name = ", ".join(f"{axis} {value}" for axis, value in at.items())
        for threshold in THRESHOLDS:
            reached = found[threshold].dropna()
            ends = reached.median(), reached.min(), reached.max()
            weights = int(part["n_parameters"].max())
            rows.append((name, weights, threshold, len(reached), len(found) - len(reached), *ends))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["threshold", "weights"], kind="stable", ignore_index=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel; one colour per threshold."""
    figure, (panel,) = panels(1, height=3.0)
    colors = palette(THRESHOLDS)
    offsets = dict(zip(THRESHOLDS, (0.98, 1.02), strict=True))  # so that neither hides the other
    for threshold, color in colors.items():
        own = data[(data["threshold"] == threshold) & (data["n"] > 0)]
        x = own["weights"] * offsets[threshold]
        bars = np.abs(own[["min", "max"]].to_numpy().T - own["median"].to_numpy())
        panel.errorbar(x, own["median"], bars, color=color, linestyle="none", linewidth=0.8, capsize=2)
        for filled, some in ((True, own[own["not_reached"] == 0]), (False, own[own["not_reached"] > 0])):
            panel.plot(
                some["weights"] * offsets[threshold],
                some["median"],
                color=color,
                marker="o",
                markersize=4,
                linestyle="none",
                markerfacecolor=color if filled else "white",
            )
    _proportional(panel, data[data["n"] > 0])
    panel.set(xlabel="weights D", ylabel="intrinsic dimension d")
    logarithmic_sizes(panel, data["weights"])
    logarithmic_sizes(panel, data["median"].dropna(), vertical=True)
    title(figure, description(evidence.cells, evidence))
    entries = [
        handle(THRESHOLDS[name], color=color, marker="o", markersize=4, linestyle="none")
        for name, color in colors.items()
    ]
    entries.append(handle("in proportion to D", color=GREY, linestyle="--", linewidth=0.6))
    legend(figure, entries, below=True)
    return figure


def _proportional(panel: Axes, points: pd.DataFrame) -> None:
    """A line of slope 1 through the smallest network's point, up to twice the largest intrinsic dimension."""
    if points.empty:
        return
    first = points.sort_values(["weights", "median"]).iloc[0]
    ratio = first["median"] / first["weights"]
    end = min(points["weights"].max(), 2 * points["max"].max() / ratio)
    panel.plot([first["weights"], end], [first["median"], ratio * end], color=GREY, linestyle="--", linewidth=0.6)
