"""Risks against the size of what is fitted, one panel per quantity: what the figures of double descent share."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gengap.evidence.double_descent import capacities
from gengap.evidence.figures.drawing import GREY, SPLITS, band, handle, handles, legend, palette, panels, title
from gengap.evidence.figures.groups import ALL, left_out, told
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.measurements import SEED, Evidence, lacking
from gengap.quantities import QUANTITIES

COLUMNS = ["group", "size", "threshold", "quantity", "n", "mean", "min", "max"]
LOGARITHMIC = ("loss", "norm", "condition")  # endings and parts of names of quantities with a logarithmic axis


def logarithmic_sizes(panel: Axes, sizes: Iterable[float], *, vertical: bool = False) -> None:
    """A logarithmic axis of sizes, by default horizontal; of few decades with plain numbers, of more with decades."""
    listed = list(sizes)
    (panel.set_yscale if vertical else panel.set_xscale)("log")
    axis = panel.yaxis if vertical else panel.xaxis
    if listed and max(listed) / min(listed) < 100:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def risk_data(evidence: Evidence, quantities: Sequence[str], measured_by: str, size: str) -> pd.DataFrame:
    """Mean and range over seeds of every quantity by group and size, in the units of display.

    Args:
        evidence: The measurements.
        quantities: What is shown.
        measured_by: The probe or simulation that measures it, for the message where it is missing.
        size: The column of cells that the size comes from.
    """
    if quantities[0] not in evidence.cells or size not in evidence.cells:
        raise lacking(evidence, quantities[0], measured_by)
    rows = []
    for at, part in grouped(capacities(evidence), ["group", "size", "threshold"]):
        for quantity in quantities:
            values = usable(part, quantity) * QUANTITIES[quantity].scale
            ends = values.mean(), values.min(), values.max()
            rows.append((at["group"] or ALL, at["size"], at["threshold"], quantity, len(values), *ends))
    return pd.DataFrame(rows, columns=COLUMNS)


def risk_plot(data: pd.DataFrame, evidence: Evidence, shown: Mapping[str, Sequence[str]], xlabel: str) -> Figure:
    """One panel per label of `shown` with its quantities; the threshold is a vertical line, the kernel horizontal ones.

    Args:
        data: From `risk_data`.
        evidence: The measurements.
        shown: Quantities by the label of their panel: of a train and a test set, or one.
        xlabel: What a size is.
    """
    figure, axes = panels(len(shown), height=1.0 + 1.45 * len(shown))
    colors = palette(data["group"])
    finite = data[np.isfinite(data["size"])]
    for panel, (label, quantities) in zip(axes, shown.items(), strict=True):
        for quantity in quantities:
            style = next((SPLITS[split] for split in SPLITS if quantity.startswith(split)), "-")
            for group, color in colors.items():
                own = data[(data["quantity"] == quantity) & (data["group"] == group)]
                band(panel, own[np.isfinite(own["size"])], color, style, x="size", dots=True)
                for limit in own.loc[np.isinf(own["size"]), "mean"]:
                    panel.axhline(limit, color=color, linestyle=style, linewidth=0.6)
        if any(word in quantities[0] for word in LOGARITHMIC):
            panel.set_yscale("log")
            means = finite.loc[finite["quantity"].isin(quantities), "mean"]
            if len(means := means[means > 0]):  # what is fitted exactly leaves the panel downwards
                panel.set_ylim(bottom=max(means.min() / 2, means.max() * 1e-7))
        else:
            panel.set_ylim(bottom=0)
        for threshold in finite["threshold"].unique():
            panel.axvline(threshold, color=GREY, linewidth=0.6, linestyle=":")
        panel.set_ylabel(label)
    axes[-1].set_xlabel(xlabel)
    logarithmic_sizes(axes[-1], finite["size"])
    seeds = evidence.cells.groupby(list(evidence.axes))[SEED].nunique()
    words = "seeds" if "arm" in evidence.axes else "draws"  # networks, or simulations
    of_each = f"{seeds.min()} {words} of every size"
    title(figure, told(of_each, left_out(evidence.cells), "dotted: interpolation threshold"))
    figure.align_ylabels()
    looks = [handle(split, color=GREY, linestyle=style) for split, style in SPLITS.items()]
    legend(figure, [*handles(colors), *looks], below=True)
    return figure
