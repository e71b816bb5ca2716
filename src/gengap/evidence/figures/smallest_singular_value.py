"""Smallest singular value of random matrices against their shape (Oyedotun et al., Tables A1 to A3)."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtr

from gengap.counting import span
from gengap.evidence.figures.drawing import GREY, PRINTED, handle, legend, panels, title
from gengap.evidence.figures.matrices import COLORS, STD
from gengap.evidence.figures.printed import mark, printed, source
from gengap.evidence.intervals import grouped, summary
from gengap.evidence.measurements import Evidence, measured

PART = {
    "summary": "Smallest singular value against the matrix's shape.",
    "simulation": "random_matrix",
    "published": True,
    "caption": """\
**Smallest singular value of random matrices** (study ``{{ snakemake.wildcards.study }}``; after Oyedotun et al., Tables
A1 to A3). Above: means over the draws divided by the square root of the number of rows m, bars from the smallest to the
largest draw, against the root of the shape n / m; the three distributions share it. The lines are the limit of large
matrices, s (1 - √(n/m)) for independent entries of standard deviation s (Bai and Yin 1993). Below: the mean divided by
its limit, bars end the 95 % confidence interval of the mean; for square matrices, where the line is at 0, the limit is
0.656 s / √n (Edelman 1988); points of the three distributions stand 0.012 apart, so that each can be seen. Open
diamonds are the printed means. *What to look for:* the smallest singular value falls to nearly 0 as the matrix becomes
square, for every distribution alike: small singular values need no training and no large batch to appear.
""",
}

QUANTITY = "smallest_singular_value"
COLUMNS = ["distribution", "rows", "columns", "n", "mean", "min", "max", "mean_low", "mean_high", "limit", "printed"]
MARKERS = ("o", "s", "^", "D", "v", "P")
# Mean of sqrt(n) sigma_min of a square normal matrix, n to infinity: sqrt(2 pi e) times the normal tail beyond 1. From
# Edelman (1988), Eigenvalues and condition numbers of random matrices, corollary 3.1, integrated by parts.
SQUARE = math.sqrt(2 * math.pi * math.e) * float(ndtr(-1.0))


def limit(distribution: str, rows: int, columns: int) -> float:
    """What the smallest singular value tends to for large matrices.

    ``s (sqrt(m) - sqrt(n))`` of m x n entries of standard deviation s (Bai and Yin 1993); 0.656 s / sqrt(n) on average
    if m = n (Edelman 1988 for normal entries; Tao and Vu 2010 for all others).
    """
    tall, narrow = max(rows, columns), min(rows, columns)
    unit = SQUARE / math.sqrt(narrow) if tall == narrow else math.sqrt(tall) - math.sqrt(narrow)
    return STD[distribution] * unit


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean, range and 95 % confidence interval of the mean over the draws of every size; limit and printed mean."""
    measured(evidence, QUANTITY, "random_matrix")
    rows = []
    published = {
        cell: row["value"] for row in printed(evidence, [QUANTITY]).to_dict("records") for cell in row["cells"]
    }
    for at, cells in grouped(evidence.cells, ["distribution", "rows", "columns"]):
        found = summary(cells, QUANTITY)
        row = at | {name: found[name] for name in COLUMNS[3:-2]}
        row["limit"] = limit(at["distribution"], at["rows"], at["columns"])
        rows.append(row | {"printed": published.get(cells["cell"].iloc[0], math.nan)})
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Above the values over sqrt(rows), with the straight lines of the limit; below measured over limit."""
    figure, (upper, lower) = panels(2, height=4.0, ratios=[3, 2])
    sizes = dict(zip(sorted(data["rows"].unique()), MARKERS, strict=False))
    for distribution in (name for name in STD if name in set(data["distribution"])):
        upper.plot([0, 1], [STD[distribution], 0], color=COLORS[distribution], linewidth=0.7, zorder=1)
        place = (0.26, STD[distribution] * (1 - 0.26))
        upper.annotate(distribution, place, (2, 1), textcoords="offset points", color=COLORS[distribution])
    lower.axhline(1, color=GREY, linewidth=0.7)
    for at, part in grouped(data, ["distribution", "rows"]):
        look: dict[str, Any] = {"color": COLORS[at["distribution"]], "marker": sizes.get(at["rows"], "o")}
        _points(upper, part, 1 / np.sqrt(part["rows"]), "min", "max", **look)
        beside = 0.012 * (list(STD).index(at["distribution"]) - 1)  # of three points at one place, each can be seen
        _points(lower, part, 1 / part["limit"], "mean_low", "mean_high", beside, **look)
        shape = np.sqrt(part["columns"] / part["rows"])
        mark(upper, shape, part["printed"] / np.sqrt(part["rows"]))
        mark(lower, shape + beside, part["printed"] / part["limit"])
    draws = sorted(data["n"].unique())
    title(upper, f"{span(draws[0], draws[-1], 'draw')} of every size")
    upper.set_ylabel(r"$\sigma_{\min} / \sqrt{m}$")
    upper.set_ylim(bottom=-0.03 * upper.get_ylim()[1])
    lower.set_ylabel("mean / limit")
    lower.set_xlabel(r"$\sqrt{n / m}$ of matrices with $m$ rows and $n$ columns")
    lower.set_xlim(0, 1.04)
    figure.align_ylabels()
    entries = [handle(f"$m$ = {m}", color=GREY, marker=shape, linestyle="") for m, shape in sizes.items()]
    if data["printed"].notna().any():
        entries.append(handle(source(printed(evidence, [QUANTITY])), color="black", **PRINTED))
    legend(figure, entries)
    return figure


def _points(
    axes: Axes, part: pd.DataFrame, scale: "pd.Series[float]", low: str, high: str, beside: float = 0, **look: Any
) -> None:
    """Means with bars between two columns, which a single draw does not have."""
    means = part["mean"] * scale
    bars = [(means - part[low] * scale).fillna(0), (part[high] * scale - means).fillna(0)]
    x = np.sqrt(part["columns"] / part["rows"]) + beside
    axes.errorbar(x, means, yerr=bars, linestyle="", markersize=3, elinewidth=0.8, **look)
