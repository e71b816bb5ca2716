"""How unequal the layer gradients of a deep linear network are, against its width (Song 2019, Fig. 4.3)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from gengap.counting import span
from gengap.evidence.figures.drawing import BAND, GREY, handle, handles, legend, note, palette, panels, title
from gengap.evidence.figures.groups import WIDTH
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.measurements import Evidence, measured
from gengap.evidence.resampling import STATISTICS, statistics

PART = {
    "summary": "Inequality of a linear network's layer gradients against width.",
    "simulation": "linear_gradient",
    "caption": """\
**Inequality of the layer gradients of a deep linear network** (study ``{{ snakemake.wildcards.study }}``; after Song
2019, Fig. 4.3). R is the largest of the layers' gradient norms divided by the smallest, before training, for Xavier
normal weights and standard normal inputs and targets. Above: mean (solid) and median (dashed) over the draws against
width; below: their variance; all on logarithmic axes. Bands are 95 % percentile bootstrap intervals. At small widths
a single draw can carry mean and variance, so that their bands say little: read the median there. One colour per pair of
input and output size; the source prints neither. *What to look for:* mean and variance both fall with width, so that
narrow networks start out unbalanced, and differently so from draw to draw.
""",
}

QUANTITY = "gradient_ratio"
ENDS = ("input_size", "output_size")
COLUMNS = ["group", WIDTH, "n", *(f"{name}{end}" for name in STATISTICS for end in ("", "_low", "_high"))]
STYLES = {"mean": "-", "median": (0, (3, 1.5))}


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean, median and variance over the draws with their intervals: one row per network's ends and width."""
    measured(evidence, QUANTITY, "linear_gradient")
    ends = [axis for axis in ENDS if axis in evidence.axes]
    rows = []
    for at, cells in grouped(evidence.cells, [*ends, WIDTH]):
        found = usable(cells, QUANTITY)
        group = ", ".join(f"{'in' if axis == 'input_size' else 'out'} {at[axis]}" for axis in ends) or "all draws"
        rows.append({"group": group, WIDTH: int(at[WIDTH]), "n": len(found)} | statistics(found))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Mean and median above, variance below, both axes logarithmic; bands are the intervals."""
    figure, (upper, lower) = panels(2, height=3.8)
    colors = palette(data["group"])
    for at, part in grouped(data, ["group"]):
        curve, color = part.sort_values(WIDTH), colors[at["group"]]
        for name, style in STYLES.items():
            _line(upper, curve, name, color, style)
        _line(lower, curve, "variance", color, "-")
    for axes, statistic in ((upper, "mean"), (lower, "variance")):
        if (data[statistic] > 0).any():
            axes.set_yscale("log", nonpositive="clip")
        else:
            note(axes, f"too few draws for a {statistic}", alone=False)
    upper.set_ylabel("$R$ = largest / smallest $g_l$")
    lower.set_ylabel("variance of $R$")
    lower.set_xlabel("width [units]")
    widths = sorted(data[WIDTH].unique())
    lower.set_xscale("log", base=2)
    lower.xaxis.set_major_locator(FixedLocator(widths))
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xticklabels([str(width) for width in widths])
    figure.align_ylabels()
    draws = sorted(data["n"].unique())
    title(upper, f"{span(draws[0], draws[-1], 'draw')} of every width")
    entries = [*handles(colors if data["group"].nunique() > 1 else {}, {})]
    legend(figure, entries + [handle(name, color=GREY, linestyle=style) for name, style in STYLES.items()])
    return figure


def _line(axes: Axes, curve: pd.DataFrame, name: str, color: str, style: object) -> None:
    axes.plot(curve[WIDTH], curve[name], color=color, linestyle=style, marker=".")
    axes.fill_between(curve[WIDTH], curve[f"{name}_low"], curve[f"{name}_high"], color=color, alpha=BAND, linewidth=0)
