"""Accuracy against the size of a random subspace, beside small networks whose weights are trained (Li 2018)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence import words
from gengap.evidence.figures.drawing import GREY, band, handle, handles, legend, palette, panels, title
from gengap.evidence.figures.groups import description
from gengap.evidence.figures.risk_curves import logarithmic_sizes
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.intrinsic_dimension import ABSOLUTE, SUBSPACE, dimensions, groups
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Accuracy against the size of a random subspace, and against the weights of small networks.",
    "needs": ("train_accuracy", "test_accuracy"),
    "varies": {"training.subspace": 2},
    "caption": """\
**Accuracy in random subspaces** (study ``{{ snakemake.wildcards.study }}``; Li et al. 2018, Figs. 2 and 5). Accuracy
in percent at the end (on the test set; of random labels on the training set) against the number of values that
training moves: lines the size d of a random subspace, crosses the weights of small networks that are trained whole.
Lines are means over seeds, bands reach from the smallest to the largest; dashed lines are the same networks with all
weights trained; the dotted line is 90 %, left out where all networks stay far below it. *What to look for:* the d at
which a line crosses the dotted line, and whether small networks need fewer values for the same accuracy.
""",
}

NEAR = 0.75  # share of the threshold that some network must reach for its line to be drawn
COLUMNS = ["group", "kind", "d", "n", "mean", "min", "max"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Accuracy in percent by group and number of trained values; kinds ``subspace``, ``whole`` and ``small``."""
    with_subspace = {tuple(at.items()) for at, _ in groups(evidence)}
    axes = [axis for axis in evidence.axes if axis != SUBSPACE]
    rows = []
    for at, part in grouped(dimensions(evidence), axes):
        name = words.settings(at) or "networks"
        for size, own in grouped(part, ["d"]):
            values = 100 * usable(own, "accuracy")
            whole, d = bool(np.isnan(size["d"])), size["d"]
            kind = "subspace" if not whole else "whole" if tuple(at.items()) in with_subspace else "small"
            d = float(own["n_parameters"].max()) if whole else float(d)
            rows.append((name, kind, d, len(values), values.mean(), values.min(), values.max()))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["group", "kind", "d"], kind="stable", ignore_index=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel; one colour per group with subspaces."""
    figure, (panel,) = panels(1, height=3.0)
    lines = data[data["kind"] == "subspace"]
    colors = palette(lines["group"])
    for group, color in colors.items():
        band(panel, lines[lines["group"] == group], color, x="d", dots=True)
        for level in data.loc[(data["group"] == group) & (data["kind"] == "whole"), "mean"]:
            panel.axhline(level, color=color, linewidth=0.6, linestyle="--")
    small = data[data["kind"] == "small"]
    panel.plot(small["d"], small["mean"], color="black", marker="x", markersize=4, linestyle="none")
    if data["max"].max() > NEAR * 100 * ABSOLUTE:
        panel.axhline(100 * ABSOLUTE, color=GREY, linewidth=0.6, linestyle=":")
    panel.set(xlabel="trained values", ylabel="accuracy [%]")
    logarithmic_sizes(panel, data["d"])
    title(figure, description(evidence.cells, evidence))
    entries = handles(colors)
    if len(small):
        entries.append(handle("small network, whole", color="black", marker="x", markersize=4, linestyle="none"))
    legend(figure, entries, below=True)
    return figure
