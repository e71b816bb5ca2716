"""Test error after one layer's reset, layer by checkpoint (Zhang, Bengio and Singer 2019, arXiv:1902.01996)."""

import math
import textwrap

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap.errors import UserError
from gengap.evidence.figures.drawing import CHARACTERS, panels, title, unfinished, width
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.figures.layer_gradients import shown as first_groups
from gengap.evidence.layer_resets import resets, untouched
from gengap.evidence.measurements import Evidence, measured
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Test error after a layer's reset, layer by checkpoint.",
    "needs": (
        "test_error_after_rerandomization",
        "error_rise_after_reset",
    ),
    "options": {
        "arms": {
            "type": "strs",
            "default": [],
            "meaning": "Arms that have a panel; empty: the narrowest and the widest networks, four groups at most.",
        },
    },
    "caption": """\
**Test error after one layer's reset** (study ``{{ snakemake.wildcards.study }}``; after Zhang, Bengio and Singer 2019,
arXiv:1902.01996). One panel per group of cells. Each row is one layer, from the input (top) to the
output; each column is the epoch to which that layer alone is reset, with the BatchNorm after it, while all others
keep their trained weights; in the last column it is redrawn by the cell's own initialisation. Nothing is trained.
Colour is the test error in percent, as mean over the finished seeds: the darker, the worse. All panels share the
scale; the number above a panel is the test error of the networks as they were trained. BatchNorm uses the mode of the
probe ``layer_reset``; see ``batchnorm`` in the CSV, which also has the range over seeds. *What to look for:* rows that
stay light back to epoch 0 are layers whose training hardly mattered; a layer that is dark when redrawn but light
at epoch 0 needs its own initial weights, and not their training.
""",
}

MOST_LABELS = 14  # layers that are named in a panel; of more, only some are
DARK_IS_HIGH = "viridis_r"
FRESH, NONE = "fresh", "none"
ARM = "arm"
COLUMNS = ["group", "layer", "reset", "batchnorm", "n", "mean", "min", "max"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over finished seeds of the test error [%] at each cell's last measured epoch.

    ``reset`` is the epoch to which the layer went back, ``fresh`` for a layer redrawn, or ``none`` with an empty
    ``layer`` for the network itself. Epochs that not all cells of a group have are left out.
    """
    fresh = measured(evidence, "test_error_after_rerandomization", "layer_reset").assign(reset=FRESH)
    found = resets(evidence)
    own = untouched(evidence, found).assign(layer="", reset=NONE)
    found["reset"] = [f"{epoch:g}" for epoch in found["reset"]]
    rows = pd.concat([found, fresh, own], ignore_index=True)
    cells = shown(evidence)
    finished = cells.loc[cells["status"] == "finished", ["cell", "group"]]
    rows = finished.merge(rows[rows["epoch"] == rows.groupby("cell")["epoch"].transform("max")], on="cell")
    rows["value"] = rows["value"].astype(float) * QUANTITIES["test_error_after_reset"].scale
    over = rows.groupby(COLUMNS[:4], sort=False)["value"].agg(["size", "mean", "min", "max"]).reset_index()
    over = over.rename(columns={"size": "n"})
    return over.loc[over["n"] == over.groupby("group")["n"].transform("max"), COLUMNS].reset_index(drop=True)


def shown(evidence: Evidence) -> pd.DataFrame:
    """The cells of the arms that the study names, or of the first groups of either width."""
    arms = evidence.options.get("arms", ())
    if not arms:
        return first_groups(evidence)
    cells = labelled(evidence, apart=[axis for axis in evidence.axes if axis != ARM])
    if ARM not in evidence.axes or not set(arms) <= set(cells[ARM]):
        known = ", ".join(sorted(set(cells[ARM]))) if ARM in evidence.axes else "none"
        raise UserError(
            f"study '{evidence.study['name']}': figures: layer_reset: arms: {', '.join(arms)} is not all in `grid`. "
            f"Choose from: {known}."
        )
    return cells[cells[ARM].isin(arms)].reset_index(drop=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per group, the layers from input (top) to output, one colour scale for all; dark is worse."""
    cells = shown(evidence)
    names = list(cells["group"].unique())
    layered = data[data["layer"] != ""]
    resets = sorted(layered["reset"].unique(), key=lambda reset: math.inf if reset == FRESH else float(reset))
    counts = [max(4, min(MOST_LABELS, layered[layered["group"] == name]["layer"].nunique())) for name in names]
    figure, axes = panels(len(names), height=0.9 + sum(0.4 + 0.15 * count for count in counts), ratios=counts)
    low, high = (layered["mean"].min(), layered["mean"].max()) if len(layered) else (0.0, 1.0)
    norm = mpl.colors.Normalize(low, high)
    for panel, name in zip(axes, names, strict=True):
        own = data[data["group"] == name]
        if own.empty:
            unfinished([panel], cells[cells["group"] == name], narrow=True, alone=data.empty)
            continue
        untouched = own.loc[own["reset"] == NONE, "mean"].iloc[0]
        wrapped = textwrap.fill(name, int(0.6 * CHARACTERS * width()), break_long_words=False)
        panel.set_title(("" if len(names) == 1 else f"{wrapped}\n") + f"{untouched:.1f} % without a reset")
        _map(panel, own[own["layer"] != ""], resets, norm)
    if len(layered):
        axes[-1].set_xlabel("epoch to which the layer is reset")
        figure.colorbar(
            mpl.cm.ScalarMappable(norm, DARK_IS_HIGH), ax=axes, label="test error [%]", fraction=0.06, pad=0.03
        )
    of = cells if evidence.options.get("arms") else labelled(evidence, extremes=True)
    title(figure, description(cells, evidence, of=of))
    return figure


def _map(panel: Axes, own: pd.DataFrame, resets: list[str], norm: mpl.colors.Normalize) -> None:
    layers = list(own["layer"].unique())
    table = own.pivot(index="layer", columns="reset", values="mean").reindex(index=layers, columns=resets)
    values = np.ma.masked_invalid(table.to_numpy(dtype=float))
    panel.pcolormesh(values, cmap=DARK_IS_HIGH, norm=norm, edgecolor="white", linewidth=0.3)
    every = math.ceil(len(layers) / MOST_LABELS)
    panel.set_yticks(np.arange(0, len(layers), every) + 0.5, layers[::every])
    panel.set_xticks(np.arange(len(resets)) + 0.5, resets, rotation=90 if len("".join(resets)) > 26 else 0)
    panel.set_ylim(len(layers), 0)
    panel.grid(visible=False)
    panel.tick_params(length=0)
