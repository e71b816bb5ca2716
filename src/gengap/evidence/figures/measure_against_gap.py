"""One panel per probe: what it measured of every network, against the network's generalization gap."""

import math
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from gengap.evidence import words
from gengap.evidence.explaining import GAP, correlations, first_of_probes, measures, values, without_measure
from gengap.evidence.figures.drawing import (
    CHARACTERS,
    COLUMN,
    handles,
    legend,
    palette,
    sequential,
    title,
    unfinished,
    width,
)
from gengap.evidence.figures.groups import FEW, description, labelled, told
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES

PART = {
    "summary": "What each probe measured of every network, against its generalization gap.",
    "options": {
        "panels": {
            "type": "quantities",
            "default": (),
            "meaning": "Quantities of whole networks, one panel each; none: the first of every probe.",
        },
        "by": {
            "type": "axis",
            "default": None,
            "optional": True,
            "meaning": "Axis whose values have a colour each; null: the first.",
        },
        "x": {
            "type": "axis",
            "default": None,
            "optional": True,
            "meaning": "Axis of the grid on the horizontal axis, the quantities on the vertical ones; null: the "
            "quantities against the gap.",
        },
    },
    "needs": (
        "train_accuracy",
        "test_accuracy",
    ),
    "caption": """\
**What was measured of every network, against its generalization gap** (study ``{{ snakemake.wildcards.study }}``). One
panel per probe, with the first quantity of whole networks that it measures, or per quantity of the option ``panels``;
the line above the panels names the probes that have none. One point per finished network at its last measured epoch,
coloured by one axis of the grid. Vertically, train accuracy minus test accuracy in percentage points; with the option
``x``, the quantity against that axis. A horizontal axis over more than 1.5 decades is logarithmic. τ is Kendall's rank
correlation with the gap among the networks of one seed, the mean over seeds with its 95 % confidence interval. An
interval without width says only that all seeds agree; three networks are in the order of the gap by chance once in six.
Values that are not finite cannot be drawn: each panel says how many. Dead, stuck and diverged networks are not drawn;
the line above the panels counts them. *What to look for:* a measure that explains the gap orders the points within one
colour as well as between colours; the table ``explains`` has the numbers, with controls.
""",
}

_POINTS: dict[str, Any] = {"marker": "o", "linestyle": "none", "fillstyle": "none"}
_POINTS |= {"markersize": 3.5, "markeredgewidth": 0.8}
COLUMNS = ["cell", "by", "x_axis", "quantity", "value", "gap"]
MOST_PANELS = 9


def data(evidence: Evidence) -> pd.DataFrame:
    """One row per finished network and quantity.

    Returns:
        Columns ``cell``, ``by`` (the value of the axis that gives the colour), ``x_axis`` (that of the option ``x``,
        empty without it), ``quantity``, ``value`` and ``gap``, both in the units of display.

    Raises:
        UserError: If a quantity or the gap was not measured.
    """
    names = evidence.options["panels"] or tuple(first_of_probes(evidence).values())[:MOST_PANELS]
    finished, by, x = evidence.finished, _by(evidence), evidence.options["x"]
    tables = [
        pd.DataFrame(
            {
                "cell": finished["cell"],
                "by": [words.setting(by, value) for value in finished[by]] if by else "",
                "x_axis": finished[x] if x else "",
                "quantity": name,
                "value": values(evidence, name) * QUANTITIES[name].scale,
                "gap": finished[GAP].astype(float) * QUANTITIES[GAP].scale,
            }
        )
        for name in measures(evidence, names)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Small panels, two beside each other in a column and three on a page; one colour per value of the axis ``by``."""
    names = list(dict.fromkeys(data["quantity"]))
    columns = min(max(1, len(names)), 2 if width() <= COLUMN else 3)
    rows = math.ceil(len(names) / columns) or 1
    figure = Figure(figsize=(width(), 0.7 + 1.65 * rows))
    x = evidence.options["x"]
    axes = list(figure.subplots(rows, columns, sharey=not x, squeeze=False).flat)
    title(figure, told(description(labelled(evidence), evidence), *_without_panel(evidence)))
    if data.empty:
        unfinished(axes, evidence.cells)
        return figure
    listed = list(dict.fromkeys(data["by"]))
    colors = palette(listed) if len(listed) <= FEW else dict(zip(listed, sequential(len(listed)), strict=True))
    for panel, name in zip(axes, names, strict=False):
        own = data[data["quantity"] == name]
        _panel(panel, own, colors, name, evidence)
    for panel in axes[len(names) :]:
        panel.set_visible(False)
    if not x:
        for first in axes[::columns]:
            first.set_ylabel("gap [points]")
    legend(figure, handles(colors, **_POINTS) if len(colors) > 1 else [], below=True)
    return figure


def _panel(panel: Axes, own: pd.DataFrame, colors: dict[str, str], name: str, evidence: Evidence) -> None:
    """The points of one quantity, open so that none hides another, its correlation, and how many are not drawn."""
    finite = own[np.isfinite(own["value"]) & np.isfinite(own["gap"])]
    against = evidence.options["x"]
    for by, part in finite.groupby("by", sort=False):
        across, up = (part["x_axis"], part["value"]) if against else (part["value"], part["gap"])
        panel.plot(across, up, color=colors[str(by)], **_POINTS)
    place = panel.get_subplotspec()
    room = int(0.75 * CHARACTERS * width() / (place.get_gridspec().ncols if place else 1))
    unit = f" [{QUANTITIES[name].unit}]" if QUANTITIES[name].unit != "1" else ""
    label = textwrap.fill(QUANTITIES[name].label + unit, room)
    if against:
        panel.set_xlabel(words.axis(against))
        panel.set_ylabel(label, fontsize="small")
    else:
        panel.set_xlabel(label, fontsize="small")
        _, mean, low, high = next(iter(correlations(evidence, name)))
        if not math.isnan(mean):
            ends = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
            panel.set_title(f"$\\tau$ = {mean:.2f}{ends}", fontsize="small")
    _scale(panel, finite["x_axis"] if against else finite["value"], few_ticks=not against)
    if hidden := len(own) - len(finite):
        look: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": "small", "color": "0.35"}
        panel.text(0.98, 0.98, f"{hidden} not finite", transform=panel.transAxes, **look)


def _scale(panel: Axes, values: "pd.Series[Any]", *, few_ticks: bool) -> None:
    """A logarithmic horizontal axis for numbers that span decades; names, such as those of inits, stay as they are."""
    if not pd.api.types.is_numeric_dtype(values):
        return
    if len(values) and values.min() > 0 and values.max() > 30 * values.min():
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(numticks=5))
        panel.xaxis.set_minor_locator(NullLocator())
    elif few_ticks:
        panel.xaxis.set_major_locator(MaxNLocator(nbins=3))


def _without_panel(evidence: Evidence) -> list[str]:
    """What has no panel, and why: nothing where the study names the panels."""
    if evidence.options["panels"] or evidence.finished.empty:
        return []
    first, every = first_of_probes(evidence), measures(evidence)
    without: dict[str, list[str]] = {}
    for probe, what in without_measure(evidence).items():
        without.setdefault(what, []).append(probe)
    if beyond := list(first)[MOST_PANELS:]:
        without["no room"] = beyond
    shown = f"{min(len(first), MOST_PANELS)} of {len(every)} quantities, the first of each probe"
    parts = [shown] if len(every) > len(first) else []
    return parts + [f"without a panel ({why}): {words.joined(probes)}" for why, probes in without.items()]


def _by(evidence: Evidence) -> str:
    """The axis that gives the colours: the one of the options, or the first that varies; empty if none does."""
    varying = [axis for axis in evidence.axes if evidence.cells[axis].nunique() > 1]
    return str(evidence.options["by"] or (varying[0] if varying else ""))
