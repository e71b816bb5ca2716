"""How well a faint pattern is learned, and how linear the rest stays, by dimension (Li, Wei and Ma 2019)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gengap.counting import count
from gengap.evidence.figures.drawing import handles, legend, palette, panels, title
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.measurements import Evidence, measured
from gengap.evidence.resampling import statistics
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Error on the faint pattern, and second difference at equal training loss, against the dimension.",
    "simulation": "learning_order",
    "caption": """\
**Which pattern is learned first** (study ``{{ snakemake.wildcards.study }}``; Li, Wei and Ma 2019, theorem 3.4 and
lemma 4.2). Above: error at the end on examples that have the faint pattern alone. Below: how far from linear the part
of the network that reads the other pattern is across its classes, at the first step with the training loss at which
the large rate ends. Means over the draws that got there, bars their 95 % bootstrap intervals. *What to look for:*
with the large rate first, a smaller error and a smaller second difference than with the small one.
""",
}

SHOWN = ("faint_error", "second_difference")
AXES = ("algorithm", "noise", "dimension")
ALGORITHMS = {"small": "small rate", "large_small": "large rate first"}
COLUMNS = ["group", "dimension", "quantity", "n", "mean", "low", "high"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Means over draws with their bootstrap intervals, in the units of display, by algorithm, noise and dimension."""
    measured(evidence, "faint_error", "learning_order")
    rows = []
    for at, part in grouped(evidence.cells, [axis for axis in AXES if axis in evidence.axes]):
        noise = str(at.get("noise", "none"))
        group = ALGORITHMS[str(at.get("algorithm", "small"))] + (
            "" if noise == "none" else f", noise in {_where(noise)}"
        )
        for quantity in SHOWN:
            values, scale = usable(part, quantity), QUANTITIES[quantity].scale
            of = statistics(values * scale)
            ends = of["mean"], of["mean_low"], of["mean_high"]
            rows.append((group, float(at.get("dimension", np.nan)), quantity, len(values), *ends))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per quantity, one colour per algorithm and noise, dodged so that bars can be told apart."""
    figure, axes = panels(len(SHOWN), height=4.0)
    colors = palette(data["group"])
    shifts = dict(zip(colors, np.geomspace(0.96, 1.04, len(colors)), strict=True))
    for panel, quantity in zip(axes, SHOWN, strict=True):
        for group, curve in data[data["quantity"] == quantity].groupby("group", sort=False):
            curve = curve.sort_values("dimension")
            error = np.nan_to_num([curve["mean"] - curve["low"], curve["high"] - curve["mean"]])
            x, color = curve["dimension"] * shifts[str(group)], colors[str(group)]
            panel.errorbar(x, curve["mean"], error, color=color, marker="o", markersize=3)
        unit = QUANTITIES[quantity].unit
        panel.set_ylabel("error on faint pattern [%]" if unit == "%" else "second difference")
        panel.set_ylim(bottom=0)
    axes[-1].set_xscale("log")
    ticks = sorted(data["dimension"].unique())
    axes[-1].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[-1].minorticks_off()
    axes[-1].set_xlabel("dimension $d$")
    draws = evidence.cells.groupby([axis for axis in AXES if axis in evidence.axes]).size().min()
    title(figure, f"{count(draws, 'draw')} of every setting")
    figure.align_ylabels()
    legend(figure, handles(colors), below=True)
    return figure


def _where(noise: str) -> str:
    return "gates and values" if noise == "both" else f"{noise}s"
