"""Distribution of all singular values of random matrices, a panel per size (Oyedotun et al., Figures A1 to A3)."""

import math
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from gengap.counting import span
from gengap.errors import UserError
from gengap.evidence.figures.drawing import BAND, GREY, handle, handles, legend, title
from gengap.evidence.figures.matrices import COLORS, STD, law, share_below
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Distribution of all singular values, a panel per size of the matrix.",
    "simulation": "random_matrix",
    "caption": """\
**All singular values of random matrices** (study ``{{ snakemake.wildcards.study }}``; after Oyedotun et al., Figures A1
to A3). One panel per size m × n, one column of panels per number of rows m. Histograms of the singular values σ of the
first draws, divided by √m (√n if that is larger) and by the standard deviation s of an entry, area 1 each; heights do
not compare between panels. Black: the law of Marchenko and Pastur (1967) for large matrices, from 1 - √(n/m) to 1 +
√(n/m), for any distribution of the entries. Numbers with an arrow: the largest value where it lies outside the
axis, one value per matrix for entries whose mean is not 0, near the mean times √n / s. *What to look for:* the spectrum
widens as the matrix becomes square and then reaches 0, for every distribution alike; lognormal entries, with their
heavy tail, follow the law only roughly where there are few rows or columns.
""",
}

QUANTITY = "matrix_singular_values"
SIZE = ["rows", "columns"]
COLUMNS = ["distribution", *SIZE, "draws", "low", "high", "density", "law"]
BINS = 20  # over the range of the law, at most
END = 3.0  # of the axis: the law ends at 2 or before
ACROSS = 3  # panels that fit side by side


def data(evidence: Evidence) -> pd.DataFrame:
    """Histograms of the singular values divided by ``s sqrt(m)``, s an entry's standard deviation, and the law's.

    One row per distribution, size and bin, with the mean density in it; the last bin reaches to the largest value,
    however far that lies outside.
    """
    found = evidence.arrays(QUANTITY)
    if not found:
        raise UserError(
            f"study '{evidence.study['name']}': the spectrum of a matrix was not measured. "
            "Add `spectrum_values: 2000` to `base` in the study's file and run it again."
        )
    settings = evidence.cells.set_index("cell")[["distribution", *SIZE]]
    spectra: dict[tuple[str, int, int], list[NDArray[Any]]] = {}
    for array in found:
        for cell, values in zip(array.rows["cell"], array.values, strict=True):
            distribution, rows, columns = settings.loc[cell]
            spectra.setdefault((str(distribution), int(rows), int(columns)), []).append(values)
    tables = []
    for (distribution, rows, columns), values in spectra.items():
        unit = STD[distribution] * math.sqrt(max(rows, columns))
        table = _histogram(np.concatenate(values) / unit, _shape(rows, columns))
        tables.append(table.assign(distribution=distribution, rows=rows, columns=columns, draws=len(values)))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Steps in the colours of the distributions, the law as a thin line, and how far the largest value lies outside."""
    columns = _arranged(sorted(set(data[SIZE].itertuples(index=False, name=None))))
    deep = max(len(column) for column in columns)
    figure = Figure(figsize=(mpl.rcParams["figure.figsize"][0], 0.7 + 0.78 * deep))
    grid = figure.subplots(deep, len(columns), sharex=True, squeeze=False)
    parts = {(at["rows"], at["columns"]): part for at, part in grouped(data, SIZE)}
    for column, panels in zip(columns, grid.T, strict=True):
        empty = deep - len(column)
        for axes in panels[:empty]:
            axes.set_visible(False)
        for size, axes in zip(column, panels[empty:], strict=True):
            _panel(axes, parts[size], *size)
    for axes in grid[-1]:
        axes.set_xlabel(r"$\sigma / (s \sqrt{m})$")
    figure.supylabel("density", fontsize=mpl.rcParams["axes.labelsize"])
    draws = sorted(data["draws"].unique())
    title(figure, f"m × n; {span(draws[0], draws[-1], 'draw')} of every size")
    shown = {name: color for name, color in COLORS.items() if name in set(data["distribution"])}
    legend(figure, [*handles(shown), handle("law", color="black", linewidth=0.6)], below=True)
    return figure


def _panel(axes: Axes, data: pd.DataFrame, rows: int, columns: int) -> None:
    """The histograms of one size."""
    shape = _shape(rows, columns)
    for place, (at, part) in enumerate(grouped(data, ["distribution"])):
        color = COLORS[at["distribution"]]
        inside = part[part["high"] <= END]
        steps = inside["density"], [*inside["low"], *inside["high"].tail(1)]
        if not place:  # in front of an area, two lines that nearly agree can be told apart
            axes.stairs(*steps, color=color, fill=True, alpha=BAND)
        axes.stairs(*steps, color=color, linewidth=0.8)
        if (largest := part["high"].max()) > END:
            look: dict[str, Any] = {"color": color, "fontsize": 6.5, "ha": "right", "va": "top"}
            axes.text(1, 0.95 - 0.25 * place, f"{largest:.3g}→", transform=axes.transAxes, **look)
    x = 1 + math.sqrt(shape) * np.linspace(-1, 1, 201)
    axes.plot(x, law(x, shape), color="black", linewidth=0.6)
    axes.set_title(f"{rows} × {columns}", fontsize="small", color=GREY)
    axes.set_xlim(0, END)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(FixedLocator([0, 1, 2]))
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.grid(visible=False, axis="y")


def _histogram(values: NDArray[Any], shape: float) -> pd.DataFrame:
    """Mean densities in equal bins over the law's range and all values on the axis; those beyond are in one last bin.

    Bins are as wide as Freedman and Diaconis (1981) advise for the number and the spread of the values.
    """
    near = values[values <= END]
    width = 2 * math.sqrt(shape) / BINS
    if len(near):
        width = max(width, 2 * float(np.subtract(*np.percentile(near, [75, 25]))) / len(near) ** (1 / 3))
    low, high = 1 - math.sqrt(shape), 1 + math.sqrt(shape)  # of the law: bins begin where it does
    first = math.floor((near.min(initial=low) - low) / width)
    last = math.ceil((near.max(initial=high) - low) / width)
    edges = np.unique(np.clip(low + width * np.arange(first, last + 1), 0, END))
    if values.max() > edges[-1]:
        edges = np.r_[edges, values.max()]
    counts = np.histogram(values, edges)[0]
    shares = np.diff(share_below(edges, shape))
    bins = pd.DataFrame(pairwise(edges), columns=["low", "high"])
    return bins.assign(density=counts / len(values) / np.diff(edges), law=shares / np.diff(edges))


def _shape(rows: int, columns: int) -> float:
    return min(rows, columns) / max(rows, columns)


def _arranged(sizes: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Panels by column: one column per number of rows; where that would be too many, side by side line by line."""
    rows = sorted({m for m, _ in sizes})
    if len(rows) <= ACROSS:
        return [[size for size in sizes if size[0] == m] for m in rows]
    return [sizes[at::ACROSS] for at in range(ACROSS)]
