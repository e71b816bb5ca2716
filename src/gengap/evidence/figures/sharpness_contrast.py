"""How much sharper the minima of large batches are, in every variant of sharpness (Keskar et al. 2017, Table 3)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import GREY, handle, handles, legend, palette, panels, title
from gengap.evidence.figures.groups import described_pairs, labelled
from gengap.evidence.intervals import grouped, interval
from gengap.evidence.measurements import Evidence, measured
from gengap.evidence.sharpness_variants import BATCH_SIZE, EPS, contrasts

PART = {
    "summary": "Ratio of large over small batches' sharpness in every variant.",
    "caption": """\
**What is left of the contrast of sharpness** (study ``{{ snakemake.wildcards.study }}``; Keskar et al. 2017, Table
3). Sharpness of large over that of small batches of the same seed, geometric means with their 95 % confidence
intervals (Student's t on logarithms), in the larger box of relative size 0.001 (filled) and the smaller (open).
Division of filters by their norms and a common factor leave the network's function as it is. *What to look for:* a
ratio above 1 that survives convergence of the search and the normalisation of filters.
""",
    "needs": ("sharpness",),
}

_POINTS: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linestyle": "none"}
COLUMNS = ["group", "variant", "eps", "n", "ratio", "low", "high"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Geometric mean of the ratio with its interval, by group of networks, variant and size of the box."""
    measured(evidence, "sharpness", "sharpness")
    cells = labelled(evidence, apart=[BATCH_SIZE])
    rows = []
    for _, words, eps, differences in contrasts(evidence):
        for at, part in grouped(cells[cells["cell"].isin(differences.index)], ["group"]):
            ours = interval(differences[part["cell"]])
            low, high = ours.of_mean
            rows.append((at["group"], words, eps, ours.n, 10**ours.mean, 10**low, 10**high))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Variants below each other, one colour per group of networks."""
    variants, groups = list(dict.fromkeys(data["variant"])), list(dict.fromkeys(data["group"]))
    figure, (axes,) = panels(1, height=1.2 + 0.42 * max(2, len(variants)))
    colors = palette(groups)
    sizes = list(EPS.values())
    for (group, eps), part in data.groupby(["group", "eps"], sort=False):
        color = colors[str(group)]
        shift = 0.6 * ((groups.index(str(group)) * 2 + sizes.index(str(eps)) + 0.5) / (2 * len(groups)) - 0.5)
        y = np.array([variants.index(each) for each in part["variant"]]) + shift
        error = np.nan_to_num([part["ratio"] - part["low"], part["high"] - part["ratio"]])
        fill = color if eps == sizes[0] else "white"
        axes.errorbar(part["ratio"], y, xerr=error, color=color, mfc=fill, **_POINTS)
    axes.axvline(1, color=GREY, linewidth=0.6)
    axes.set_xscale("log")
    axes.set_yticks(range(len(variants)), [words.replace(", ", ",\n") for words in variants])
    axes.set_ylim(len(variants) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("sharpness, large over small batches")
    title(figure, described_pairs(data["n"], evidence.cells))
    fills = zip(sizes, (GREY, "white"), strict=True)
    boxes = [handle(f"box of size {eps}", color=GREY, mfc=fill, **_POINTS) for eps, fill in fills]
    legend(figure, [*handles(colors, **_POINTS), *boxes], below=True)
    return figure
