"""What the figures share: panels, bands, colours, legends, names beside lines, and notes."""

import math
import re
import string
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from gengap.evidence.figures.groups import ALL, FEW
from gengap.evidence.intervals import failures

BAND = 0.18  # opacity of the range over seeds
COLUMN, PAGE = 3.5, 7.2  # inches: one column of a journal, and both
CHARACTERS = 17.0  # of 8 points, in an inch of a line
GREY = "0.35"
LINE = 0.16  # inches
MOST_ROWS = 4  # of a legend in letters of the usual size
NARROW = 20  # characters for which a small panel has room
SMALLER = 1.2  # by which "small" letters are narrower
PRINTED: dict[str, Any] = {"marker": "D", "markersize": 4.5, "markerfacecolor": "none", "linestyle": ""}
_NUMBER = re.compile(r"(?<=[\s=])(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w.])")  # none in CIFAR-10, and no layer 0.10
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
    """A figure of the width that is drawn, a column or a page, and its panels, row by row, sharing the horizontal axis.

    Args:
        rows: Rows of panels.
        columns: Columns of panels.
        height: Height of the figure in inches.
        ratios: Relative heights of the rows.
        wide: Take the width of a page in any case: more than two columns of panels are not legible in less.
        share_rows: Give the panels of a row one vertical axis.
    """
    figure = Figure(figsize=(width(wide=wide), height))
    axes = figure.subplots(
        rows, columns, sharex=True, sharey="row" if share_rows else False, squeeze=False, height_ratios=ratios
    )
    return figure, list(axes.flat)


def _left_title(axes: Axes) -> Text:
    """The title at the left of a panel, whose look `Axes.set_title` would replace."""
    words = axes.get_title(loc="left")
    return next(part for part in axes.get_children() if isinstance(part, Text) and part.get_text() == words)


def width(*, wide: bool = False) -> float:
    """The width that is drawn, in inches: a column's or a page's."""
    return PAGE if wide else float(mpl.rcParams["figure.figsize"][0])


def palette(names: Iterable[str]) -> dict[str, str]:
    """One colour per name: distinct ones, or steps from dark to light, which grey keeps, of more than a few numbers.

    Names that differ in their numbers alone are in the order of these: a grid may list them otherwise. More names than
    there are distinct colours have steps as well.
    """
    listed = list(dict.fromkeys(names))
    parts = {name: _NUMBER.split(name) for name in listed}
    numbers = len({tuple(part[::2]) for part in parts.values()}) == 1
    if numbers:
        listed.sort(key=lambda name: [float(number) for number in parts[name][1::2]])
    distinct = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    few = len(listed) <= (FEW if numbers else len(distinct))
    return dict(zip(listed, distinct if few else sequential(len(listed)), strict=False))


def sequential(n: int) -> list[str]:
    """Steps from dark to light of a map that stays ordered in grey and for the colour-blind."""
    positions = np.linspace(0.0, 0.88, n)  # the lightest end is invisible on white
    return [mpl.colors.to_hex(mpl.colormaps["viridis"](position)) for position in positions]


def band(
    axes: Axes,
    curve: pd.DataFrame,
    color: str,
    linestyle: Any = "-",
    *,
    x: str = "epoch",
    of: str = "mean",
    dots: bool = False,
) -> None:
    """Draw the mean or median as a line, dotted where it was measured, over a band of the range of several runs."""
    curve = curve.sort_values(x)
    marker = "o" if len(curve) == 1 else "." if dots else None
    axes.plot(curve[x], curve[of], color=color, linestyle=linestyle, marker=marker)
    if (curve["n"] > 1).any():
        axes.fill_between(curve[x], curve["min"], curve["max"], color=color, alpha=BAND, linewidth=0)


def handle(name: str, **line: Any) -> Line2D:
    """A legend's entry, with the properties of its line."""
    return Line2D([], [], label=name, **line)


def handles(colors: Mapping[str, str], styles: Mapping[str, Any] | None = None, **look: Any) -> list[Line2D]:
    """Entries for colours by name, lines unless their look says otherwise, then for line styles by name in grey."""
    entries = [handle(name, color=color, **look) for name, color in colors.items() if name != ALL]
    return entries + [handle(name, color=GREY, linestyle=style) for name, style in (styles or {}).items()]


def legend(figure: Figure, entries: Sequence[Line2D], *, below: bool = False) -> None:
    """One legend for all panels, above or below them, in as few rows as the column is wide for.

    The figure grows by the rows beyond the first, so that the panels keep their size, and until the legend takes less
    than a quarter of the height. More than `MOST_ROWS` rows are set in smaller letters.
    """
    if not entries:
        return
    columns = _legend_columns(entries, _characters(figure))
    small = math.ceil(len(entries) / columns) > MOST_ROWS
    if small:
        columns = _legend_columns(entries, int(_characters(figure) * SMALLER))
    place: Any = "outside lower center" if below else "outside upper center"
    figure.legend(handles=list(entries), loc=place, ncols=columns, fontsize="small" if small else None)
    rows = math.ceil(len(entries) / columns)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, max(height + (rows - 1) * LINE, 4.2 * rows * LINE))


def _legend_columns(entries: Sequence[Line2D], room: int) -> int:
    """How many entries stand in a row of so many characters."""
    lengths = [len(str(entry.get_label())) + 6 for entry in entries]  # a mark and the space between two entries
    most = len(entries) if sum(lengths) <= room else max(1, min(len(entries), room // max(lengths)))
    return math.ceil(len(entries) / math.ceil(len(entries) / most))  # rows of nearly equal length


def beside(axes: Axes, ends: Mapping[str, tuple[float, str]], *, most: int = 14) -> bool:
    """Write names at the right of a panel, each at the end of its line and in its colour, moved apart where they meet.

    Call it when the limits of the vertical axis are final. More names than there is room for are not written at all.

    Args:
        axes: The panel.
        ends: Height of the end of each line, in the units of the axis, and its colour, by name.
        most: Characters of a line of a name; longer ones are broken at spaces.

    Returns:
        Whether they were written: if not, a legend must name the lines.
    """
    shown = {name: end for name, end in ends.items() if np.isfinite(end[0])}
    low, high = axes.get_ylim()
    inside = {name: float(np.clip(y, low, high)) for name, (y, _) in shown.items()}
    at = {name: axes.transLimits.transform(axes.transScale.transform((0.0, y)))[1] for name, y in inside.items()}
    texts = {name: textwrap.fill(name, most, break_long_words=False) for name in shown}
    size = mpl.rcParams["font.size"] * 0.9
    points = 0.9 * axes.get_window_extent().height * 72 / axes.figure.dpi  # titles and labels take some of it
    heights = {name: (text.count("\n") + 1) * size * 1.25 / points for name, text in texts.items()}
    if sum(heights.values()) > 1:
        return False
    for name, y in _apart(at, heights).items():
        axes.annotate(
            texts[name],
            (1, y),
            (3, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="left",
            va="center",
            color=shown[name][1],
            fontsize=size,
            linespacing=1.05,
            annotation_clip=False,
        )
    return True


def _apart(at: Mapping[str, float], heights: Mapping[str, float]) -> dict[str, float]:
    """Places between 0 and 1, near the wanted ones and in their order, so that no two texts touch.

    Texts that touch become one block at the mean of the places that they want.
    """

    def inside(names: Sequence[str]) -> float:
        half = _sum(names, heights) / 2
        return float(np.clip(np.mean([at[name] for name in names]), half, 1 - half))

    blocks: list[tuple[list[str], float]] = []  # names from below, and the middle of the block
    for name in sorted(at, key=at.__getitem__):
        names, middle = [name], inside([name])
        while blocks and blocks[-1][1] + _sum(blocks[-1][0], heights) / 2 > middle - _sum(names, heights) / 2:
            names = [*blocks.pop()[0], *names]
            middle = inside(names)
        blocks.append((names, middle))
    placed = {}
    for names, middle in blocks:
        bottom = middle - _sum(names, heights) / 2
        for name in names:
            placed[name] = bottom + heights[name] / 2
            bottom += heights[name]
    return placed


def _sum(names: Iterable[str], heights: Mapping[str, float]) -> float:
    return sum(heights[name] for name in names)


def depths(layers: Sequence[str]) -> dict[str, str]:
    """Colours of layers, from dark at the first to light at the last."""
    return dict(zip(layers, sequential(len(layers)), strict=True))


def depth_handles(colors: Mapping[str, str]) -> list[Line2D]:
    """Entries for `depths`: the first and the last layer by name, and one for all between."""
    names = list(colors)
    entries = [handle(name, color=colors[name]) for name in dict.fromkeys((*names[:1], *names[-1:]))]
    if len(names) > 2:
        entries.insert(1, handle("layers between, dark to light", color=colors[names[len(names) // 2]]))
    return entries


def letters(figure: Figure) -> None:
    """Begin the title of every panel with a bold letter, where there are several; colour bars are no panels."""
    panels = [axes for axes in figure.axes if axes.get_visible() and not hasattr(axes, "_colorbar")]
    if len(panels) < 2:
        return
    for letter, axes in zip(string.ascii_lowercase, panels, strict=False):
        old = axes.get_title(loc="left")
        words = f"$\\mathbf{{{letter}}}$" + (f"  {old}" if old else "")
        if old:
            _left_title(axes).set_text(words)
        else:
            axes.set_title(words, loc="left")


def note(axes: Axes, text: str, *, alone: bool = True) -> None:
    """Say in the middle of an empty panel why it is empty; `alone` if no panel beside it shares its axes."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.grid(visible=False)
    if alone:
        axes.tick_params(which="both", left=False, bottom=False, labelleft=False, labelbottom=False)


def unfinished(axes: Iterable[Axes], cells: pd.DataFrame, *, narrow: bool = False, alone: bool = True) -> None:
    """Say in empty panels that no network finished, and why, or that those which did were not measured.

    Args:
        axes: The panels.
        cells: Those that they would show.
        narrow: Break the line for small panels.
        alone: As in `note`.
    """
    gap, why = "\n" if narrow else " ", failures(cells)
    if narrow and len(why) > NARROW:
        why = why.replace(", ", ",\n")
    said = gap.join(("no finished", "network", f"({why})")) if why else "not measured"
    for panel in axes:
        note(panel, said, alone=alone)


def title(of: Axes | Figure, text: str) -> None:
    """A small grey title at the left of a panel or figure, broken at semicolons where it is too long for its width."""
    figure = of if isinstance(of, Figure) else of.get_figure(root=True)
    assert figure is not None
    columns = 1 if isinstance(of, Figure) or (place := of.get_subplotspec()) is None else place.get_gridspec().ncols
    taken = 0 if isinstance(of, Figure) else 6  # characters that the labels of the axis and the panel's letter take
    lines, room = [""], int(_characters(figure) / columns) - taken
    for part in text.split("; "):
        joined = f"{lines[-1]}; {part}" if lines[-1] else part
        lines = [*lines[:-1], joined] if len(joined) <= room else [*lines, part]
    wrapped = "\n".join(textwrap.fill(line, room) for line in lines if line)
    look: dict[str, Any] = {"color": GREY, "fontsize": "small"}
    if isinstance(of, Figure):
        of.suptitle(wrapped, x=0.02, ha="left", **look)
    else:
        of.set_title(wrapped, **look)


def panel_title(axes: Axes, name: str) -> None:
    """Name a panel of several in small letters above it, in lines as long as it is wide; one alone has no name."""
    if not name:
        return
    place = axes.get_subplotspec()
    figure = axes.get_figure(root=True)
    assert figure is not None
    assert place is not None
    room = int(0.8 * _characters(figure) / place.get_gridspec().ncols) - 3  # beside its letter
    lines = [textwrap.fill(line, room) for line in name.split("\n")]
    axes.set_title("\n".join(lines), fontsize="small")


def _characters(figure: Figure) -> int:
    """How many characters a line of the figure's width has."""
    return int(CHARACTERS * figure.get_size_inches()[0])


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


def powers_of_two(axes: Axes, values: Iterable[float]) -> None:
    """A horizontal axis to base 2, of widths or batch sizes: a tick at every value, labels where there is room."""
    at = sorted(set(values))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    figure = axes.get_figure(root=True)
    assert figure is not None
    place = axes.get_subplotspec()
    inches = (figure.get_size_inches()[0] - 0.6) / (place.get_gridspec().ncols if place else 1) * 0.72
    octave = inches / max(1.0, math.log2(at[-1] / at[0]) if len(at) > 1 else 1.0)
    # From the ends inwards, so that the first and the last value are named.
    named: list[float] = []
    for value in sorted(at, key=lambda value: (value not in (at[0], at[-1]), math.log2(value) % 1 != 0, value)):
        needed = [(len(f"{value:g}") + len(f"{other:g}") + 1.5) / 2 * 0.078 for other in named]
        if all(abs(math.log2(value / other)) * octave >= gap for other, gap in zip(named, needed, strict=True)):
            named.append(value)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value in named else ""))


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
    if drawn.max() / bottom < 3:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    elif drawn.max() / bottom < 100:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
