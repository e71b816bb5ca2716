"""Risk over training loss against the large learning rate, and two descents among the level sets (Nishtala)."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.counting import count
from gengap.evidence.figures.drawing import GREY, handles, legend, title
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.measurements import Evidence, measured
from gengap.evidence.resampling import statistics

PART = {
    "summary": "Risk over training loss of linear regression against the large learning rate, and two descents.",
    "simulation": "convex_regression",
    "caption": """\
**The error that a learning rate leaves** (study ``{{ snakemake.wildcards.study }}``; Nishtala, convex problems).
*a:* expected squared error over the training loss at which descent stops, in the problem of three examples e1, e1
and e2, against the large rate; medians over the draws of true weights with their 95 % bootstrap intervals, and the
two analytic limits, 3/2 with all error along e2 and 3/4 with all along e1. *b:* errors of the weights along a
descent with the small rate and with the largest rate, of the first draw, over level sets of the training loss (solid)
and of the expected one (dashed). *What to look for:* the ratio changes only where the large rate makes the sharp
direction the slower one, above 1; the printed rates of 0.01 and 0.1 are far below.
""",
}

LIMITS = {1.5: "all error along e2: 3/2", 0.75: "all error along e1: 3/4"}
CURVATURES = (2 / 3, 1 / 3)  # of the training loss along e1 and e2, as factors of the squared errors
COLUMNS = ["panel", "descent", "rate", "step", "x", "y", "low", "high"]
STYLES = {"small rate": "#0072B2", "large rate first": "#D55E00"}
# Open and larger where both descents end alike, so that neither hides the other.
MARKERS: dict[str, dict[str, Any]] = {
    "small rate": {"markersize": 2.5},
    "large rate first": {"markersize": 5.5, "markerfacecolor": "none"},
}
BESIDE = 5.0  # inches: wide enough for two panels side by side
_KINDS = {"small rate": "small", "large rate first": "large"}


def data(evidence: Evidence) -> pd.DataFrame:
    """Median ratios by rate, panel ``ratio``; errors of the weights by step, panel ``descent``."""
    measured(evidence, "large_ratio", "convex_regression")
    cells = evidence.cells
    basis = cells[cells["examples"] == "basis"] if "examples" in cells else cells
    rows = []
    for at, part in grouped(basis, ["rate"]):
        for descent, kind in _KINDS.items():
            of = statistics(usable(part, f"{kind}_ratio"))
            rows.append(
                ("ratio", descent, float(at["rate"]), np.nan, np.nan, of["median"], of["median_low"], of["median_high"])
            )
    last = basis[basis["rate"] == basis["rate"].max()]
    first = last["cell"].iloc[0]
    for descent, kind in _KINDS.items():
        for array in evidence.arrays(f"{kind}_trajectory"):
            for cell, path in zip(array.rows["cell"], array.values, strict=True):
                if cell == first:
                    own = ("descent", descent, float(last["rate"].iloc[0]))
                    rows += [(*own, step, *weights, np.nan, np.nan) for step, weights in enumerate(path)]
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Ratios and descents, side by side where there is room."""
    size = mpl.rcParams["figure.figsize"][0]
    figure = Figure(figsize=(size, 3.0 if size > BESIDE else 4.6))
    if size > BESIDE:
        left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
    else:
        left, right = figure.subplots(2, 1, height_ratios=[1, 1.3])
    ratios = data[data["panel"] == "ratio"]
    for descent, curve in ratios.groupby("descent", sort=False):
        error = [curve["y"] - curve["low"], curve["high"] - curve["y"]]
        marker = MARKERS[str(descent)]
        left.errorbar(curve["rate"], curve["y"], error, color=STYLES[str(descent)], marker="o", **marker)
    for limit in LIMITS:
        left.axhline(limit, color=GREY, linewidth=0.6, linestyle="--")
    words: dict[str, Any] = {"color": GREY, "fontsize": "small", "textcoords": "offset points"}
    where = ("axes fraction", "data")
    left.annotate(LIMITS[1.5], (0.99, 1.5), (0, -8), xycoords=where, ha="right", va="top", **words)
    left.annotate(LIMITS[0.75], (0.01, 0.75), (0, 2), xycoords=where, ha="left", va="bottom", **words)
    left.set(xlabel="large learning rate", ylabel="risk / training loss")
    paths = data[data["panel"] == "descent"]
    reach = 1.15 * float(np.nanmax(np.abs(paths[["x", "y"]].to_numpy()))) if len(paths) else 1.0
    side = np.linspace(-reach, reach, 101)
    x, y = np.meshgrid(side, side)
    training, expected = CURVATURES[0] * x**2 + CURVATURES[1] * y**2, (x**2 + y**2) / 2
    levels = np.array([0.02, 0.1, 0.25, 0.5]) * reach**2
    right.contour(x, y, training, levels=levels, colors="0.6", linewidths=0.6)
    right.contour(x, y, expected, levels=levels, colors="0.6", linewidths=0.6, linestyles="dashed")
    for descent, path in paths.groupby("descent", sort=False):
        right.plot(path["x"], path["y"], color=STYLES[str(descent)], marker=".", markersize=2, linewidth=0.7)
    right.set(xlabel="error along e1", ylabel="error along e2", aspect="equal")
    right.grid(visible=False)
    draws = evidence.cells.groupby("rate").size().min()
    if len(paths):
        right.set_title(f"first draw, large rate {paths['rate'].iloc[0]:g}", loc="left")
    title(figure, f"{count(draws, 'draw')} of every rate")
    legend(figure, handles(STYLES), below=True)
    return figure
