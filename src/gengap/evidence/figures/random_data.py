"""Train loss on true data, random labels and images without meaning (Zhang et al. 2017, Fig. 1a)."""

import math

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from gengap.counting import count
from gengap.evidence.figures.drawing import band, epochs, handles, legend, log_scale, panels, title, unfinished
from gengap.evidence.figures.groups import curves, left_out, not_shown, told
from gengap.evidence.measurements import Evidence
from gengap.evidence.random_data import with_data

PART = {
    "summary": "Train loss on true data, random labels, permuted pixels and noise images against epochs.",
    "caption": """\
**Fitting data that mean nothing** (study ``{{ snakemake.wildcards.study }}``; Zhang et al. 2017, Fig. 1a). Train loss
at the end of each epoch, one panel per network, at most six, one line per kind of data: true; random labels; one
permutation of the pixels for all images; a permutation for each; noise in the place of the images. Data of which only
a share is random are left out. Lines are means over the finished seeds, bands reach from the smallest to the largest;
a network that stopped early keeps its last value. *What to look for:* lines that all fall to 0, some of them later.
""",
}

COLUMNS, MOST_NETWORKS = 3, 6


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of the train loss after each epoch, of every ``network`` on every ``group`` of data."""
    cells = shown(evidence)
    rows = evidence.history[evidence.history["quantity"] == "train_loss"]
    return curves(rows.merge(cells[["cell", "network"]], on="cell"), cells, by=["network"])


def shown(evidence: Evidence) -> pd.DataFrame:
    """The cells of the first networks that were trained on several kinds of data; ``group`` is the data."""
    cells = with_data(evidence)
    cells = cells[cells["share"].isin([0.0, 1.0])].assign(group=lambda table: table["data"])
    kinds = cells.groupby("network", sort=False)["data"].nunique()
    names = kinds.index[kinds == kinds.max()][:MOST_NETWORKS]
    return cells[cells["network"].isin(names)].reset_index(drop=True)


def _not_shown(evidence: Evidence, cells: pd.DataFrame) -> tuple[str, str]:
    """Networks that have no panel, and kinds of data that have no line."""
    every = with_data(evidence)
    mixed = every.loc[~every["share"].isin([0.0, 1.0]), "data"].nunique()
    kinds = cells["group"].nunique()
    networks = every["network"].nunique() - cells["network"].nunique()
    return (
        not_shown(networks, "network", f"fewer than {kinds} kinds of data, or after the first {MOST_NETWORKS}"),
        not_shown(mixed, "share", "neither none nor all of the data is random"),
    )


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per network, one colour per kind of data."""
    cells = shown(evidence)
    names = list(cells["network"].unique())
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure, axes = panels(rows, columns, height=0.6 + 1.7 * rows, wide=columns > 1)
    colors = dict(zip(cells["group"].unique(), mpl.rcParams["axes.prop_cycle"].by_key()["color"], strict=False))
    seeds = [len(part) for _, part in cells.groupby(["network", "group"])]
    title(figure, told(count(max(seeds), "seed"), left_out(cells), *_not_shown(evidence, cells)))
    for axis, name in zip(axes, names, strict=False):
        own = data[data["network"] == name]
        axis.set_title(name)
        if own.empty:
            unfinished([axis], cells[cells["network"] == name], narrow=True, alone=data.empty)
        for group, curve in own.groupby("group", sort=False):
            band(axis, curve, colors[str(group)])
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for row in range(rows if len(data) else 0):
        log_scale(axes[row * columns], data[data["network"].isin(names[row * columns : (row + 1) * columns])])
        axes[row * columns].set_ylabel("train loss")
    epochs(axes[0], data["epoch"])
    for axis in axes[max(0, len(names) - columns) : len(names)]:
        axis.set_xlabel("epoch")
        axis.tick_params(labelbottom=True)
    legend(figure, handles(colors), below=True)
    return figure
