"""The distribution of one node's inputs over training, without and with BatchNorm (Santurkar et al. 2018, Fig. 2)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap.counting import count
from gengap.evidence.figures.drawing import (
    GREY,
    epochs,
    handle,
    legend,
    palette,
    panel_title,
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import first_columns, in_columns, left_out, told
from gengap.evidence.measurements import SEED, Evidence, lacking

PART = {
    "summary": "Quantiles of one node's inputs over training, of the layer in the middle.",
    "caption": """\
**What enters a ReLU** (study ``{{ snakemake.wildcards.study }}``; Santurkar et al. 2018, Fig. 2). The first node of the
layer in the middle, of the first finished seed of each kind of network: quantiles of the input of its ReLU over one
training batch, at each saved epoch. The line is the median, the dark area holds 68 % and the light one 95 % of the
inputs. Noise of training is included, a new draw at each epoch. BatchNorm uses the mode of the probe
``pre_activations``. Rows have one vertical axis each. *What to look for:* areas that keep their place and width; a
network whose areas jump may still train well.
""",
}

QUANTITY = "pre_activation_quantiles"
COLUMNS = ["group", "panel", "layer", "seed", "epoch", "q2.5", "q16", "q50", "q84", "q97.5"]
MOST_COLUMNS = 3
LIGHT, DARK = 0.2, 0.35


def data(evidence: Evidence) -> pd.DataFrame:
    """Quantiles of one node by group and epoch, of the first finished seed whose numbers are all finite."""
    arrays = evidence.arrays(QUANTITY)
    if not arrays:
        raise lacking(evidence, QUANTITY, "pre_activations")
    cells = first_columns(in_columns(evidence, MOST_COLUMNS), MOST_COLUMNS)
    finished = cells[cells["status"] == "finished"].sort_values(SEED, kind="stable")
    tables = []
    for (group, panel), own in finished.groupby(["group", "panel"], sort=False):
        for cell, seed in zip(own["cell"], own[SEED], strict=True):
            layers = [array for array in arrays if (array.rows["cell"] == cell).any()]
            if not layers:
                continue
            middle = layers[len(layers) // 2].of([cell])
            first = middle.values[:, 0]
            if np.isfinite(first).all():
                at = {
                    "group": group,
                    "panel": panel,
                    "layer": middle.layer,
                    "seed": seed,
                    "epoch": middle.rows["epoch"],
                }
                tables.append(pd.DataFrame({**at, **dict(zip(COLUMNS[5:], first.T, strict=True))}))
                break
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(tables).sort_values(["group", "panel", "epoch"], kind="stable", ignore_index=True)[COLUMNS]


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One row per group, one column per panel."""
    found = in_columns(evidence, MOST_COLUMNS)
    cells = first_columns(found, MOST_COLUMNS)
    colors, names = palette(cells["group"]), list(dict.fromkeys(cells["panel"]))
    figure, axes = panels(len(colors), len(names), height=1.0 + 1.3 * len(colors), wide=len(names) > 2)
    layers = list(dict.fromkeys(data["layer"]))
    hidden = found["group"].nunique() - cells["group"].nunique()
    more = f"{count(hidden, 'group')} not shown" if hidden else ""
    title(figure, told(", ".join(layers), "one seed", left_out(cells), more))
    if data.empty:
        unfinished(axes, cells)
        return figure
    for number, panel in enumerate(axes):
        group, name = list(colors)[number // len(names)], names[number % len(names)]
        own = data[(data["group"] == group) & (data["panel"] == name)]
        panel_title(panel, ", ".join(part for part in (group, name) if part))
        if own.empty:
            unfinished([panel], cells[(cells["group"] == group) & (cells["panel"] == name)], narrow=True)
        else:
            _areas(panel, own, colors[group])
    for first in axes[:: len(names)]:
        first.set_ylabel("input of a ReLU")
    for last in axes[-len(names) :]:
        epochs(last, data["epoch"])
        last.set_xlabel("epoch")
    figure.align_ylabels()
    shares = [handle(words, color=GREY, alpha=alpha, linewidth=5) for words, alpha in (("68 %", 0.55), ("95 %", LIGHT))]
    legend(figure, [handle("median", color=GREY), *shares], below=True)
    return figure


def _areas(panel: Axes, own: pd.DataFrame, color: str) -> None:
    panel.fill_between(own["epoch"], own["q2.5"], own["q97.5"], color=color, alpha=LIGHT, linewidth=0)
    panel.fill_between(own["epoch"], own["q16"], own["q84"], color=color, alpha=DARK, linewidth=0)
    panel.plot(own["epoch"], own["q50"], color=color, marker="o" if len(own) == 1 else None)
    panel.axhline(0, color=GREY, linewidth=0.5, zorder=0)
