"""The Hessian's largest and smallest eigenvalue and its whole spectrum while training (Song 2019, Fig. 3.3)."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gengap.evidence.figures.drawing import (
    GREY,
    band,
    epochs,
    handle,
    handles,
    legend,
    log_scale,
    note,
    palette,
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import curves, description, labelled
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Ends of the Hessian's spectrum, and all of it, while training.",
    "needs": ("hessian_largest_residual",),
    "caption": """\
**The Hessian's spectrum while training** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Fig. 3.3).
*Above:* the largest eigenvalue of the Hessian of the mean training loss (solid), and the most negative one by its
magnitude (dashed).
Lines are Lanczos' method, means over the finished seeds with bands from the smallest to the largest; circles are means
of the whole spectrum. *Middle:* how many eigenvalues are negative beyond rounding. *Below:* all eigenvalues; each
column is one measured epoch, its colour the share of the eigenvalues in a bin, mean over seeds; the axis is logarithmic
on both sides of 0, and linear between the innermost bins. All is computed in float64 on the training images that the
probes' ``samples`` names, with BatchNorm as the title says: in mode ``exact`` its statistics are constants, and the
Hessian is that of the function which the network computes; in mode ``batch`` they move with the weights, as in
training, and biases in front of a BatchNorm are null directions. *What to look for:* whether the largest eigenvalue
grows without bound, which would rule out a fixed learning rate, and whether negative ones are left at the end, as at a
saddle.
""",
}

EXACT, LANCZOS = "hessian_spectrum", "hessian_extremes"
ENDS = {"largest eigenvalue": "hessian_largest", "smallest, negated": "hessian_smallest"}
STYLES: tuple[Any, ...] = ("-", (0, (3, 1.5)))
SPECTRUM, COUNT = "hessian_eigenvalues", "hessian_negative_count"
BINS = 24  # of eigenvalues, on either side of 0
DECADES = 4  # of magnitude below the largest that are told apart
NUMBERS = ["mean", "median", "min", "max"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Both ends by both probes, the number of negative eigenvalues, and the spectrum in bins, over finished seeds.

    Returns:
        As `gengap.evidence.figures.groups.curves`, with ``probe``; of ``hessian_eigenvalues``, the share [%] of the
        eigenvalues from ``low`` to ``high``, which are 0 elsewhere.
    """
    cells = labelled(evidence, extremes=True)
    rows = measured(evidence, "hessian_largest", LANCZOS)
    rows = evidence.measurements[evidence.measurements["quantity"].isin([*ENDS.values(), COUNT])]
    found = curves(rows[rows["probe"].isin([EXACT, LANCZOS])], cells, by=["probe"])
    return pd.concat([found.assign(low=0.0, high=0.0), _spectra(evidence, cells)], ignore_index=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Ends of the spectrum above, negative eigenvalues in the middle, all eigenvalues of the first group below."""
    cells = labelled(evidence, extremes=True)
    figure, (ends, negative, whole) = panels(3, height=5.0, ratios=[3, 2, 3])
    modes = ", ".join(sorted(set(data["batchnorm"])))
    title(ends, description(cells, evidence, extremes=True) + f"; BatchNorm {modes}")
    if data.empty:
        unfinished((ends, negative, whole), cells)
        return figure
    groups = list(dict.fromkeys(data["group"]))
    colors = palette(groups)
    for group in groups:
        for style, quantity in zip(STYLES, ENDS.values(), strict=True):
            curve = data[(data["group"] == group) & (data["quantity"] == quantity)]
            _end(ends, _negated(curve) if quantity == "hessian_smallest" else curve, colors[group], style)
        count = data[(data["group"] == group) & (data["quantity"] == COUNT)]
        if len(count):
            band(negative, count, colors[group], dots=True)
    entries = handles(colors, dict(zip(ENDS, STYLES, strict=True)))
    drawn = data[data["quantity"].isin(ENDS.values())]
    smallest = drawn["quantity"] == "hessian_smallest"
    log_scale(ends, pd.concat([drawn[~smallest], _negated(drawn[smallest])]))
    ends.set_ylabel("magnitude")
    sizes = ", ".join(f"{size:,}" for size in sorted(set(cells["n_parameters"])))
    negative.set_ylabel(f"negative\nof {sizes}")
    negative.set_ylim(bottom=0)
    negative.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    spectra = data[(data["quantity"] == SPECTRUM) & (data["group"] == groups[0])]
    if spectra.empty:
        note(whole, "no whole spectrum", alone=False)
    else:
        _spectrum(figure, whole, spectra)
    epochs(whole, data["epoch"])
    whole.set_xlabel("epoch")
    figure.align_ylabels()
    if (data["probe"] == LANCZOS).any():
        entries.append(handle("Lanczos", color=GREY))
    entries.append(handle("whole spectrum", color=GREY, marker="o", linestyle="none", fillstyle="none"))
    legend(figure, entries)
    return figure


def _negated(curve: pd.DataFrame) -> pd.DataFrame:
    """The curve of the values with the other sign, for a logarithmic axis."""
    return curve.assign(mean=-curve["mean"], median=-curve["median"], min=-curve["max"], max=-curve["min"])


def _end(panel: Axes, curve: pd.DataFrame, color: str, style: Any) -> None:
    band(panel, curve[curve["probe"] == LANCZOS], color, style)
    exact = curve[curve["probe"] == EXACT]
    panel.plot(
        exact["epoch"], exact["mean"], color=color, marker="o", linestyle="none", fillstyle="none", clip_on=False
    )


def _spectrum(figure: Figure, panel: Axes, spectra: pd.DataFrame) -> None:
    """A column per epoch, dark where many eigenvalues are."""
    table = spectra.pivot(index="low", columns="epoch", values="mean").sort_index()
    at = table.columns.to_numpy(dtype=float)
    between = (at[1:] + at[:-1]) / 2
    last = at[-1] + (at[-1] - between[-1] if len(between) else 1.0)
    edges = np.array([at[0], *between, last])
    values = np.ma.masked_less_equal(table.to_numpy(dtype=float), 0)
    limits = np.append(table.index.to_numpy(dtype=float), spectra["high"].max())
    norm = mpl.colors.LogNorm(max(values.min(), 1e-3), values.max())
    drawn = panel.pcolormesh(edges, limits, values, cmap="viridis_r", norm=norm, linewidth=0)
    inner = float(limits[limits > 0].min())
    panel.set_yscale("symlog", linthresh=inner, linscale=0.5)
    power = int(np.floor(np.log10(limits[-1])))
    ticks = [10.0**p for p in range(power, power - DECADES, -1) if 10.0**p > inner][::2]
    panel.set_yticks([*(-tick for tick in ticks if -tick > limits[0]), 0.0, *ticks])
    panel.minorticks_off()
    panel.set_ylabel(QUANTITIES[SPECTRUM].symbol.join(["eigenvalues $", "$"]))
    panel.grid(visible=False)
    figure.colorbar(drawn, ax=panel, label="share [%]", pad=0.02, fraction=0.06)


def _spectra(evidence: Evidence, cells: pd.DataFrame) -> pd.DataFrame:
    """Share of the eigenvalues in every bin at every epoch, over the finished cells of each group."""
    finished = cells[cells["status"] == "finished"].set_index("cell")["group"]
    arrays = [array for array in evidence.arrays(SPECTRUM) if array.rows["cell"].isin(finished.index).any()]
    if not arrays:
        return pd.DataFrame()
    limits = _limits(max(np.abs(array.values).max() for array in arrays))
    tables: list[dict[str, Any]] = []
    for array in arrays:
        for (cell, epoch), values in zip(array.rows.itertuples(index=False, name=None), array.values, strict=True):
            if cell in finished.index:
                shares = 100 * np.histogram(values, limits)[0] / len(values)
                own = {"group": finished[cell], "epoch": epoch, "batchnorm": array.batchnorm, "probe": array.probe}
                tables += [
                    own | {"low": low, "high": high, "share": share}
                    for low, high, share in zip(limits[:-1], limits[1:], shares, strict=True)
                ]
    key = ["group", "probe", "batchnorm", "epoch", "low", "high"]
    joined = pd.DataFrame(tables).groupby(key, sort=False)["share"].agg(["size", *NUMBERS]).reset_index()
    return joined.rename(columns={"size": "n"}).assign(quantity=SPECTRUM)


def _limits(largest: float) -> NDArray[Any]:
    """Ends of the bins: a bin around 0, and logarithmic ones on both sides."""
    above = np.geomspace(largest * 10.0**-DECADES, largest * 1.0001, BINS + 1)
    return np.concatenate([-above[::-1], above])
