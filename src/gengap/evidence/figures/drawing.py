"""What the figures share: panels, bands, colours, legends and notes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from gengap.evidence.figures.groups import ALL, failures

BAND = 0.18  # opacity of the range over seeds
COLUMN = 58  # characters in a line of the column
GREY = "0.35"
LINE = 0.16  # inches
SPLITS: dict[str, Any] = {"train": "-", "test": (0, (3, 1.5))}


def panels(
    rows: int,
    columns: int = 1,
    *,
    height: float,
    ratios: Sequence[float] | None = None,
    wide: bool = False,
    share_rows: bool = True,
) -> tuple[Figure, list[Axes]]:
    """A figure of one journal column and its panels, row by row, sharing the horizontal axis.

    Args:
        rows: Rows of panels.
        columns: Columns of panels.
        height: Height of the figure in inches.
        ratios: Relative heights of the rows.
        wide: Take the width of both columns.
        share_rows: Give the panels of a row one vertical axis.
    """
    width = mpl.rcParams["figure.figsize"][0]
    figure = Figure(figsize=(2.1 * width if wide else width, height))
    axes = figure.subplots(
        rows, columns, sharex=True, sharey="row" if share_rows else False, squeeze=False, height_ratios=ratios
    )
    return figure, list(axes.flat)


def palette(names: Iterable[str]) -> dict[str, str]:
    """One colour per name: distinct ones while they last, then steps of a sequential map."""
    listed = list(dict.fromkeys(names))
    distinct = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    colors = distinct if len(listed) <= len(distinct) else sequential(len(listed))
    return dict(zip(listed, colors, strict=False))


def sequential(n: int) -> list[str]:
    """Steps from dark to light of a map that stays ordered in grey and for the colour-blind."""
    positions = np.linspace(0.0, 0.88, n)  # the lightest end is invisible on white
    return [mpl.colors.to_hex(mpl.colormaps["viridis"](position)) for position in positions]


def band(
    axes: Axes, curve: pd.DataFrame, color: str, linestyle: Any = "-", *, x: str = "epoch", dots: bool = False
) -> None:
    """Draw the mean as a line, dotted where it was measured, over a band of the range if there are several runs."""
    curve = curve.sort_values(x)
    marker = "o" if len(curve) == 1 else "." if dots else None
    axes.plot(curve[x], curve["mean"], color=color, linestyle=linestyle, marker=marker)
    if (curve["n"] > 1).any():
        axes.fill_between(curve[x], curve["min"], curve["max"], color=color, alpha=BAND, linewidth=0)


def handle(name: str, **line: Any) -> Line2D:
    """A legend's entry, with the properties of its line."""
    return Line2D([], [], label=name, **line)


def handles(colors: Mapping[str, str], styles: Mapping[str, Any] | None = None) -> list[Line2D]:
    """Entries for colours by name, then for line styles by name in grey."""
    entries = [handle(name, color=color) for name, color in colors.items() if name != ALL]
    return entries + [handle(name, color=GREY, linestyle=style) for name, style in (styles or {}).items()]


def legend(figure: Figure, entries: Sequence[Line2D], *, below: bool = False) -> None:
    """One legend for all panels, above or below them, in as few rows as the column is wide for.

    The figure grows by the rows beyond the first, so that the panels keep their size.
    """
    if not entries:
        return
    lengths = [len(str(entry.get_label())) + 5 for entry in entries]
    room = _characters(figure)
    columns = len(entries) if sum(lengths) <= room else max(1, min(len(entries), room // max(lengths)))
    place: Any = "outside lower center" if below else "outside upper center"
    figure.legend(handles=list(entries), loc=place, ncols=columns)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + (math.ceil(len(entries) / columns) - 1) * LINE)


def note(axes: Axes, text: str, *, alone: bool = True) -> None:
    """Say in the middle of an empty panel why it is empty; `alone` if no panel beside it shares its axes."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.grid(visible=False)
    if alone:
        axes.tick_params(which="both", left=False, bottom=False, labelleft=False, labelbottom=False)


def unfinished(axes: Iterable[Axes], cells: pd.DataFrame, *, narrow: bool = False, alone: bool = True) -> None:
    """Say in empty panels that no network finished, and why.

    Args:
        axes: The panels.
        cells: Those that they would show.
        narrow: Break the line for small panels.
        alone: As in `note`.
    """
    gap = "\n" if narrow else " "
    for panel in axes:
        note(panel, gap.join(("no finished", "network", f"({failures(cells)})")), alone=alone)


def title(of: Axes | Figure, text: str) -> None:
    """A small title at the left of a panel or figure, broken at semicolons where it is too long for the column."""
    lines, room = [""], _characters(of) if isinstance(of, Figure) else COLUMN
    for part in text.split("; "):
        joined = f"{lines[-1]}; {part}" if lines[-1] else part
        lines = [*lines[:-1], joined] if len(joined) <= room else [*lines, part]
    wrapped = "\n".join(line for line in lines if line)
    look: dict[str, Any] = {"color": GREY, "fontsize": "small"}
    if isinstance(of, Figure):
        of.suptitle(wrapped, x=0.02, ha="left", **look)
    else:
        of.set_title(wrapped, **look)


def _characters(figure: Figure) -> int:
    """How many characters a line of the figure's width has."""
    return int(COLUMN * figure.get_size_inches()[0] / mpl.rcParams["figure.figsize"][0])


def epochs(axes: Axes, measured: Iterable[float]) -> None:
    """Epochs that span more than a decade: linear up to 1, then logarithmic, so that the start can be seen."""
    last = max(measured, default=0.0)
    if last > 10:
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
        steps = [0.0, *(base * 10.0**power for power in range(7) for base in (1, 2, 5))]
        ticks = [step for step in steps if step <= last]
        if len(ticks) > 8:
            ticks = [step for step in ticks if step == 0 or np.log10(step) % 1 == 0]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left = 0.02 * min(last, 2.0)  # room for the marks at both ends
    axes.set_xlim(-left, 1.03 * last or 1.0)


def log_scale(axes: Axes, data: pd.DataFrame) -> None:
    """A logarithmic vertical axis for curves; exact zeros leave it downwards, and plain numbers label few decades."""
    axes.set_yscale("log", nonpositive="clip")
    drawn = data[["mean", "min", "max"]].to_numpy(dtype=float)
    means, drawn = (values[np.isfinite(values) & (values > 0)] for values in (drawn[:, 0], drawn))
    if not len(means):
        return
    # A single run near zero may stretch the band, but not so far that the means are pressed together.
    bottom = max(drawn.min(), means.min() / 10, drawn.max() * 1e-12)
    axes.set_ylim(bottom / 1.2, drawn.max() * 1.2)
    if drawn.max() / bottom < 100:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
