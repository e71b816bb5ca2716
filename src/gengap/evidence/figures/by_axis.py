"""Quantities of draws against one axis, one panel per kind of quantity: what figures of simulations share."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gengap.counting import count
from gengap.evidence import words
from gengap.evidence.figures.drawing import (
    GREY,
    handle,
    handles,
    legend,
    palette,
    panel_title,
    panels,
    powers_of_two,
    title,
)
from gengap.evidence.figures.groups import ALL, left_out, told
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.measurements import SEED, Evidence, measured
from gengap.evidence.resampling import statistics
from gengap.quantities import QUANTITIES

PANEL = "panel"
COLUMNS = ["group", "x", "quantity", "n", "mean", "low", "high"]


def axis_data(
    evidence: Evidence, axis: str, quantities: Sequence[str], simulation: str, *, columns: str = ""
) -> pd.DataFrame:
    """Means over draws with their 95 % bootstrap intervals, in the units of display, by the axis and all other axes.

    Args:
        evidence: The measurements.
        axis: The horizontal axis.
        quantities: What is drawn.
        simulation: What measures it.
        columns: An axis whose values have a column of panels each: its values are in the column ``panel``.
    """
    measured(evidence, quantities[0], simulation)
    others = [one for one in evidence.axes if one != axis]
    rows = []
    for at, part in grouped(evidence.finished, [*others, axis]):
        group = words.settings({one: at[one] for one in others if one != columns}) or ALL
        place = {PANEL: words.setting(columns, at[columns])} if columns in at else {}
        for quantity in quantities:
            values = usable(part, quantity) * QUANTITIES[quantity].scale
            of = statistics(values)
            ends = of["mean"], of["mean_low"], of["mean_high"]
            one = (group, float(at[axis]), quantity, len(values), *ends)
            rows.append({**place, **dict(zip(COLUMNS, one, strict=True))})
    return pd.DataFrame(rows, columns=[*([PANEL] if columns in others else []), *COLUMNS])


def axis_plot(
    data: pd.DataFrame,
    evidence: Evidence,
    shown: Mapping[str, Mapping[str, Any]],
    xlabel: str,
    *,
    names: Mapping[str, str] | None = None,
    logarithmic: Sequence[str] = (),
    cut: Sequence[str] = (),
) -> Figure:
    """Draw one row of panels per label, one colour per group, one line style per quantity of the panel.

    Args:
        data: From `axis_data`.
        evidence: The measurements.
        shown: By the label of a row, its quantities with their line styles.
        xlabel: What the axis is.
        names: What line styles mean, by quantity, where a panel has several.
        logarithmic: Labels of the rows with a logarithmic vertical axis.
        cut: Labels of the rows whose vertical axis does not begin at 0, for numbers that lie close together.
    """
    columns = list(dict.fromkeys(data[PANEL])) if PANEL in data else [""]
    figure, axes = panels(len(shown), len(columns), height=0.9 + 1.35 * len(shown))
    colors = palette(data["group"])
    for place, panel in enumerate(axes):
        (label, quantities), column = list(shown.items())[place // len(columns)], columns[place % len(columns)]
        here = data[data[PANEL] == column] if PANEL in data else data
        for quantity, style in quantities.items():
            for group, color in colors.items():
                own = here[(here["quantity"] == quantity) & (here["group"] == group)]
                own = own[own["n"] > 0].sort_values("x")
                panel.plot(own["x"], own["mean"], color=color, linestyle=style, marker="o", markersize=3)
                panel.vlines(own["x"], own["low"], own["high"], color=color, linewidth=0.8)
        if label in logarithmic:
            panel.set_yscale("log")
        elif label not in cut:
            panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        if column == columns[0]:
            panel.set_ylabel(label)
        if place < len(columns):
            panel_title(panel, column)
        powers_of_two(panel, data["x"])
        if place >= len(columns) * (len(shown) - 1):
            panel.set_xlabel(xlabel)
    draws = evidence.cells.groupby(list(evidence.axes))[SEED].nunique()
    title(figure, told(f"{count(draws.min(), 'draw')} of every setting", left_out(evidence.cells)))
    figure.align_ylabels()
    styles = {quantity: style for quantities in shown.values() for quantity, style in quantities.items()}
    looks = [handle(name, color=GREY, linestyle=styles[quantity]) for quantity, name in (names or {}).items()]
    legend(figure, [*handles(colors), *looks], below=True)
    return figure
