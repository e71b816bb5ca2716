"""What the figures of near-rank loss share: counts against batch size or width, before and after training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from gengap.evidence import words
from gengap.evidence.figures.drawing import (
    GREY,
    band,
    handle,
    handles,
    legend,
    note,
    palette,
    panels,
    powers_of_two,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import WIDTH, description, labelled, varying
from gengap.evidence.intervals import grouped
from gengap.evidence.measurements import Evidence, lacking
from gengap.quantities import QUANTITIES

BATCH_SIZE = "batch_size"
APART = 0.16  # between groups at one place, as a share of a doubling
TRAINED, UNTRAINED = "trained", "untrained"
STYLES: dict[str, Any] = {TRAINED: "-", UNTRAINED: (0, (3, 1.5))}
COLUMNS = ["group", "x", "quantity", "when", "n", "mean", "min", "max"]


def points(evidence: Evidence, quantities: Sequence[str]) -> pd.DataFrame:
    """Counts of the whole network over the finished cells of every group and batch size.

    Returns:
        Columns ``group``, ``x`` (the batch size; the width, if the study has more widths than batch sizes),
        ``quantity``, ``when`` (``trained``: each cell's last measured epoch; ``untrained``: epoch 0), ``n``, ``mean``,
        ``min``, ``max``; shares in percent where the unit is so.

    Raises:
        UserError: If the probe ``near_rank`` measured none of them.
    """
    measured = evidence.measurements
    rows = measured[(measured["layer"] == "") & measured["quantity"].isin(quantities)]
    if rows.empty:
        raise lacking(evidence, quantities[0], "near_rank")
    cells = _groups(evidence)
    rows = rows.merge(cells.loc[cells["status"] == "finished", ["cell", "group", "x"]], on="cell")
    last = rows.groupby("cell")["epoch"].transform("max")
    trained = rows[(rows["epoch"] == last) & (rows["epoch"] > 0)].assign(when=TRAINED)
    untrained = rows[rows["epoch"] == 0].assign(when=UNTRAINED)
    found = [
        at | {"n": len(part), **{word: part["value"].agg(word) for word in ("mean", "min", "max")}}
        for at, part in grouped(pd.concat([trained, untrained]), ["group", "x", "quantity", "when"])
    ]
    table = pd.DataFrame(found, columns=COLUMNS)
    table[["mean", "min", "max"]] = table[["mean", "min", "max"]].mul(
        table["quantity"].map(lambda name: QUANTITIES[name].scale), axis=0
    )
    return table


def drawn(data: pd.DataFrame, evidence: Evidence, labels: Mapping[str, str], height: float) -> Figure:
    """A panel per quantity, in two columns; solid after training, dashed before; bands are the range over seeds.

    Args:
        data: What `points` gives.
        evidence: The study's measurements.
        labels: What is written above the panel of each quantity.
        height: Of the figure, in inches.
    """
    figure, axes = panels(len(labels) // 2, 2, height=height, share_rows=False)
    for panel, (quantity, label) in zip(axes, labels.items(), strict=True):
        _panel(panel, data, quantity, label)
    _finish(figure, axes, data, evidence)
    return figure


def _panel(axes: Axes, data: pd.DataFrame, quantity: str, label: str) -> None:
    """One way of counting, logarithmic; linear next to 0 where there is a 0."""
    title(axes, label)
    own = data[data["quantity"] == quantity]
    if own.empty:
        if not data.empty:
            note(axes, "not measured", alone=False)
        axes.set_yticks([])
        return
    colors = palette(data["group"])
    for at, part in grouped(own, ["group", "when"]):
        color = colors[at["group"]]
        beside = list(colors).index(at["group"]) - (len(colors) - 1) / 2
        part = part.assign(x=part["x"] * 2 ** (APART * beside))  # so that no group hides another
        band(axes, part, color, STYLES[at["when"]], x="x", dots=at["when"] == TRAINED)
        if at["when"] != TRAINED:  # rings, which a dot at the same place leaves to be seen
            axes.plot(part["x"], part["mean"], "o", color=color, markerfacecolor="none", markersize=5)
    positive = own.loc[own["mean"] > 0, "mean"]
    if positive.empty:
        axes.set_yticks([0])
        axes.set_ylim(-0.1, 1.0)
        return
    lowest = 10.0 ** math.floor(math.log10(positive.min()))
    highest = 1.5 * max(own["max"].max(), lowest)
    if (own["min"] > 0).all():
        axes.set_yscale("log")
        axes.set_ylim(0.8 * lowest, highest)
    else:
        axes.set_yscale("symlog", linthresh=lowest, linscale=0.4)
        axes.set_ylim(-0.1 * lowest, highest)
        decades = [10.0**power for power in range(round(math.log10(lowest)), math.floor(math.log10(highest)) + 1)]
        # Of its own accord, matplotlib labels a power within the linear part too, on top of the 0.
        axes.set_yticks([0.0, *decades[:: math.ceil(len(decades) / 6)]])
    axes.yaxis.set_minor_locator(NullLocator())


def _finish(figure: Figure, axes: Sequence[Axes], data: pd.DataFrame, evidence: Evidence) -> None:
    """Labels, ticks at the batch sizes, and a legend for all panels."""
    sizes = sorted(data["x"].unique())
    if data.empty:
        unfinished(axes[:1], _groups(evidence), alone=False)
    for panel in axes:
        if sizes:
            powers_of_two(panel, sizes)
        place = panel.get_subplotspec()
        if place is not None and place.is_last_row():
            panel.set_xlabel(words.axis(_horizontal(evidence)))
    figure.supylabel("small singular values, summed over layers and modes", fontsize="medium")
    title(figure, description(_groups(evidence), evidence))
    shown = {when: STYLES[when] for when in STYLES if when in set(data["when"])}
    groups = palette(data["group"])
    entries = handles(groups) if len(groups) > 1 else []
    marks = {TRAINED: {"marker": "."}, UNTRAINED: {"marker": "o", "markerfacecolor": "none"}}
    entries += [handle(when, color=GREY, linestyle=style, **marks[when]) for when, style in shown.items()]
    legend(figure, entries, below=True)


def _horizontal(evidence: Evidence) -> str:
    """What the horizontal axis shows: of batch size and width, that of which there are more."""
    counts = {axis: evidence.cells[axis].nunique() for axis in (BATCH_SIZE, WIDTH) if axis in evidence.axes}
    return max(counts, key=counts.__getitem__, default=BATCH_SIZE)


def _groups(evidence: Evidence) -> pd.DataFrame:
    """All cells with their place on the horizontal axis; axes that it decides, such as epochs, name no group."""
    axis = _horizontal(evidence)
    cells = evidence.cells
    if axis not in evidence.axes:
        return labelled(evidence).assign(x=int(evidence.study["fixed"][axis]))
    decided = [other for other in varying(cells, evidence) if cells.groupby(axis)[other].nunique().max() == 1]
    found = labelled(evidence, apart=[axis, *decided])
    return found.assign(x=found[axis].astype(int))
