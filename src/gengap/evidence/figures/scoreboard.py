"""The scoreboard in one picture: how far each measure moves with the gap along the design, and at equal design."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gengap.evidence import scoreboard
from gengap.evidence.figures.drawing import GREY, note, panels, width
from gengap.evidence.measurements import Evidence
from gengap.evidence.words import axis as named
from gengap.quantities import QUANTITIES
from gengap.scoreboard import board as names
from gengap.scoreboard.verdicts import (
    CONTRADICTS,
    EQUAL_ONLY,
    EXPLAINS,
    INCONSISTENT,
    NO_EVIDENCE,
    PROXY,
    UNDECIDED,
)

PART = {
    "summary": "How far each measure moves with the gap, along the design and at equal design.",
    "caption": """\
**Which measures explain the generalization gap** (study ``{{ snakemake.wildcards.study }}``).
*Left:* hollow marks are Kendall's tau of measure and gap where one axis of the design changes, mean over groups and
axes; filled marks are the rank correlation among networks of the same configuration, which differ only in their seed.
Lines are 95 % intervals from resampling configurations. A measure that explains has both marks to the right of zero;
of a proxy, the filled mark stays at zero: what it knows, the design knows. *Right:* Kendall's tau where only this
axis changes. Grey, in italics: controls. A minus sign before a name says that less of it should mean a larger gap.
The words at the right edge of the left panel are the verdicts; the table ``scoreboard`` says why.
""",
}

COLORS = {
    EXPLAINS: "#0072B2",
    EQUAL_ONLY: "#56B4E9",
    PROXY: "#E69F00",
    INCONSISTENT: "#CC79A7",
    CONTRADICTS: "#D55E00",
    NO_EVIDENCE: "0.45",
    UNDECIDED: "0.45",
}
ORDER = (EXPLAINS, EQUAL_ONLY, PROXY, INCONSISTENT, CONTRADICTS, UNDECIDED, NO_EVIDENCE)
ROW = 0.19  # inches
_LONGEST = 44  # characters of a measure's name


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a scoreboard from top to bottom: measures by verdict, then by correlation; controls last."""
    if names.EQUAL not in table:
        return table
    rank = table["verdict"].map({word: number for number, word in enumerate(ORDER)})
    order = np.lexsort((-table[names.EQUAL], np.where(table["control"], 0, rank), table["control"]))
    return table.iloc[order].reset_index(drop=True)


def data(evidence: Evidence) -> pd.DataFrame:
    """The study's scoreboard, from top to bottom; see `gengap.scoreboard.report.wide` for the columns.

    Raises:
        UserError: If a quantity was not measured.
    """
    return ordered(scoreboard.judged(evidence))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Draw what `data` returned; see `draw`. If too few networks finished, say so."""
    if names.PSI not in data:
        figure, (panel,) = panels(1, height=1.2, wide=True)
        panel.set_axis_off()
        note(panel, "too few networks finished to judge the measures")
        return figure
    return draw(data, scoreboard.settings_of(evidence).decreasing)


def draw(table: pd.DataFrame, decreasing: Sequence[str]) -> Figure:
    """Left, two marks per measure with their intervals; right, psi of every axis.

    A measure that explains has both marks to the right of zero; of a proxy, the filled mark stays at zero: what it
    knows, the design knows.

    Args:
        table: Rows of the picture, as `ordered` gives them.
        decreasing: Measures whose negative was judged.
    """
    prefix = f"{names.PSI}["
    axes = [name[len(prefix) : -1] for name in map(str, table.columns) if name.startswith(prefix) and name[-1] == "]"]
    places = np.arange(len(table)) + 0.6 * table["control"].to_numpy()
    figure = Figure(figsize=(width(wide=True), 1.15 + ROW * (places[-1] + 1)))
    # Cells of the right panel are no narrower than their numbers.
    dots, cells = figure.subplots(1, 2, sharey=True, width_ratios=[6, max(1.2, 0.75 * len(axes))])
    _dots(dots, table, places)
    _cells(cells, table, places, axes)
    dots.set_ylim(places[-1] + 0.6, -0.6)
    dots.set_yticks(places, [_label(str(name), decreasing) for name in table["measure"]])
    for label, control in zip(dots.get_yticklabels(), table["control"], strict=True):
        label.set_style("italic" if control else "normal")
        label.set_color(GREY if control else "black")
    figure.align_titles()  # names of axes at a slant stand between panel and title
    figure.legend(handles=_legend(), loc="outside upper left", ncols=2, alignment="left")
    return figure


def _dots(panel: Axes, table: pd.DataFrame, places: np.ndarray) -> None:
    for at, row in zip(places, table.to_dict("records"), strict=True):
        color = COLORS[row["verdict"]] if not row["control"] else GREY
        both = [row[names.PSI], row[names.EQUAL]]
        panel.plot(both, [at, at], color="0.88", linewidth=3.5, solid_capstyle="butt", zorder=1)
        for name, offset, filled in ((names.PSI, -0.14, False), (names.EQUAL, 0.14, True)):
            panel.plot(
                [row[f"{name}_low"], row[f"{name}_high"]], [at + offset] * 2, color=color, linewidth=0.9, zorder=2
            )
            panel.plot(
                row[name],
                at + offset,
                marker="o",
                markersize=4.2,
                color=color,
                markerfacecolor=color if filled else "white",
                markeredgewidth=1.0,
                zorder=3,
            )
        panel.annotate(
            row["verdict"],
            (1, at),
            (-2, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="center",
            color=color,
            fontsize="small",
            fontweight="bold" if row["verdict"] == EXPLAINS and not row["control"] else "normal",
        )
    shown = table[[f"{name}_{end}" for name in (names.PSI, names.EQUAL) for end in ("low", "high")]].to_numpy(
        dtype=float
    )
    low, high = min(-0.1, np.nanmin(shown, initial=0.0)), max(0.3, np.nanmax(shown, initial=0.0))
    panel.set_xlim(low - 0.03 * (high - low), high + 0.42 * (high - low))  # room for the verdicts
    panel.axvline(0, color="0.3", linewidth=0.7, zorder=1)
    panel.set_xticks([tick for tick in panel.get_xticks() if low - 0.05 <= tick <= high + 0.05])
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.set_xlabel("rank correlation with the gap", loc="left")
    panel.set_title("all axes", loc="left")


def _cells(panel: Axes, table: pd.DataFrame, places: np.ndarray, axes: Sequence[str]) -> None:
    """Psi of every axis as a number on a colour: orange where a measure moves against the gap."""
    colors = mpl.colors.LinearSegmentedColormap.from_list("signed", ["#D55E00", "#FFFFFF", "#0072B2"])
    for column, axis in enumerate(axes):
        for at, value in zip(places, table[f"{names.PSI}[{axis}]"], strict=True):
            if not np.isfinite(value):
                continue
            box = mpl.patches.Rectangle(
                (column - 0.48, at - 0.46), 0.96, 0.92, facecolor=colors(0.5 + 0.5 * value), linewidth=0
            )
            panel.add_patch(box)
            text = f"{value:+.1f}".replace("-", "−") if abs(value) >= 0.05 else "0"
            panel.text(
                column,
                at,
                text,
                ha="center",
                va="center",
                fontsize="small",
                color="white" if abs(value) > 0.65 else "0.15",
            )
    panel.set_xlim(-0.5, len(axes) - 0.5)
    panel.xaxis.set_ticks_position("top")
    words = [named(axis).split() for axis in axes]
    slanted = max((len(word) for axis in words for word in axis), default=0) > 8
    panel.set_xticks(
        range(len(axes)),
        [(" " if slanted else "\n").join(axis) for axis in words],
        rotation=30 if slanted else 0,
        ha="left" if slanted else "center",
        rotation_mode="anchor",
    )
    panel.tick_params(length=0)
    panel.tick_params(axis="y", labelleft=False)
    panel.grid(visible=False)
    for spine in panel.spines.values():
        spine.set_visible(False)
    panel.set_title("one axis", loc="left")


def _legend() -> list[Line2D]:
    marker: dict[str, Any] = {"color": "0.2", "marker": "o", "markersize": 4.2, "linewidth": 0.9}
    return [
        Line2D([], [], label="along the design: one axis changes", markerfacecolor="white", **marker),
        Line2D([], [], label="at equal design: what the design does not know", **marker),
    ]


def _label(name: str, decreasing: Sequence[str]) -> str:
    words = QUANTITIES[name].label if name in QUANTITIES else name.replace("_", " ")
    plain = ("− " if name in decreasing else "") + words
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"
