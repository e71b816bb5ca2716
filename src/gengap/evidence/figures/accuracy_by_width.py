"""Final train and test accuracy against width (Song 2019, Fig. 1.1)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gengap.evidence import words
from gengap.evidence.figures.drawing import (
    COLUMN,
    PRINTED,
    beside,
    handle,
    legend,
    palette,
    panels,
    powers_of_two,
    title,
    unfinished,
    width,
)
from gengap.evidence.figures.groups import ALL, FEW, ORDERED, WIDTH, description, labelled, told, varying
from gengap.evidence.figures.printed import mark, printed, source
from gengap.evidence.intervals import grouped, interval, usable
from gengap.evidence.measurements import Evidence, lacking
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Final accuracy against width.",
    "published": True,
    "needs": (
        "train_accuracy",
        "test_accuracy",
    ),
    "caption": """\
**Final accuracy against width** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Fig. 1.1). Accuracy on the
training set and on the test set at each network's last measured epoch, in percent, on one vertical axis, against width
on a logarithmic axis. Small dots are single networks, circles their mean, bars reach from the smallest to the largest;
lines join widths that no other width of the study lies between. Groups at one width stand a little apart around it, and
so do the dots beside their mean, so that none hides another. Open diamonds, if there are any, are printed numbers of
the source that the legend names. Dead, stuck and diverged networks are not drawn; the line above the panels counts
them. BatchNorm uses the mode of the probe ``performance``: statistics of the whole training set, unless the study says
otherwise. *What to look for:* whether train accuracy reaches 100 % with width, and whether test accuracy follows or
stays lower; the distance between the two panels is the generalization gap. Of more than 12 groups, only the first axes
distinguish groups: the line above the panels names the axes that are joined, single networks are not drawn, and bars
reach over the middle half.
""",
}

COLUMNS = ["group", "x", "split", "statistic", "cell", "value", "n"]
SPLITS = ("train", "test")
ACCURACY = {split: f"{split}_accuracy" for split in SPLITS}
MOST = 12  # groups that a legend has room for
HALF = {"quarter": 0.25, "three quarters": 0.75}  # the middle half
APART = 0.14  # between groups at one width, as a share of a doubling, where the widths are not closer together
MARKS = ("o", "s", "^", "D", "v", "P", "X")  # of groups, which grey does not tell apart


def data(evidence: Evidence) -> pd.DataFrame:
    """The plotted numbers in percent.

    Returns:
        Columns ``group``, ``x`` (the width, or the group's number where width is no axis), ``split``, ``statistic``
        (``run``, ``mean``, ``min``, ``max``; ``printed``, with the source as ``group``), ``cell``, ``value``, ``n``
        (runs that the statistic joins). Where axes are joined, ``quarter`` and ``three quarters`` instead of ``run``,
        ``min`` and ``max``.
    """
    for quantity in ACCURACY.values():
        if quantity not in evidence.cells:
            raise lacking(evidence, quantity, "performance")
    cells, joined = _placed(evidence), _joined(evidence)
    rows: list[tuple[object, ...]] = []
    for at, part in grouped(cells, ["group", "x"]):
        for split, quantity in ACCURACY.items():
            values = usable(part, quantity) * QUANTITIES[quantity].scale
            estimate = interval(values)  # of which only the mean and the range are drawn
            here = (at["group"], at["x"], split)
            if joined:
                spread = [(word, values.quantile(share)) for word, share in HALF.items()] if estimate.n else []
                rows += [(*here, word, "", value, estimate.n) for word, value in spread]
                rows += [(*here, "mean", "", estimate.mean, estimate.n)] if estimate.n else []
                continue
            rows += [
                (*here, "run", cell, value, 1) for cell, value in zip(part["cell"][values.index], values, strict=True)
            ]
            if estimate.n:
                rows += [(*here, word, "", getattr(estimate, word), estimate.n) for word in ("mean", "min", "max")]
    places = cells.set_index("cell")["x"]
    for row in printed(evidence, list(ACCURACY.values())).to_dict("records"):
        split = row["quantity"].partition("_")[0]
        for x in dict.fromkeys(places[list(row["cells"])]):
            rows.append((row["source"], x, split, "printed", "", row["value"], 1))
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A panel for each split, on one vertical axis; one colour per group."""
    cells, column = _placed(evidence), width() <= COLUMN
    slanted = 1.4 if WIDTH not in evidence.axes and cells["group"].nunique() > FEW else 0.0  # inches of names
    figure, axes = panels(*((2, 1) if column else (1, 2)), height=(3.7 if column else 2.6) + slanted)
    for panel in axes[1:]:
        panel.sharey(axes[0])
    joined = ", ".join(map(words.axis, _joined(evidence)))
    title(figure, told(description(cells, evidence), f"joined: {joined}" if joined else ""))
    if data.empty:
        unfinished(axes, cells)
        return figure
    ours, published = data[data["statistic"] != "printed"], data[data["statistic"] == "printed"]
    colors = palette(ours["group"])
    shifts, step = _shifts(ours, list(colors))
    for panel, split in zip(axes, SPLITS, strict=True):
        for number, group in enumerate(colors):
            own = ours[(ours["group"] == group) & (ours["split"] == split)]
            _group(panel, own, colors[group], MARKS[number % len(MARKS)], (shifts[group], step), evidence)
        shown = published[published["split"] == split]
        mark(panel, shown["x"], shown["value"])
        panel.set_title(split)
        panel.set_ylabel("accuracy [%]" if column or split == SPLITS[0] else "")
        panel.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    _ticks(axes, data, evidence, column=column)
    entries = []
    if len(published):
        who = source(published.rename(columns={"group": "source"}))
        entries.append(handle(who, color="black", **PRINTED))
    if WIDTH in evidence.axes and len(colors) > 1:
        means = ours[(ours["statistic"] == "mean") & (ours["split"] == SPLITS[-1])].sort_values("x")
        last = means.groupby("group")["value"].last()
        if not beside(axes[-1], {group: (last[group], colors[group]) for group in colors if group in last}):
            marks = zip(colors.items(), itertools.cycle(MARKS), strict=False)
            entries = [*(handle(group, color=own, marker=mark) for (group, own), mark in marks), *entries]
    legend(figure, entries, below=True)
    return figure


def _placed(evidence: Evidence) -> pd.DataFrame:
    """The cells with their groups, and their place on the horizontal axis."""
    cells = labelled(evidence, apart=[WIDTH, *_joined(evidence)])
    if WIDTH in evidence.axes:
        return cells.assign(x=cells[WIDTH].astype(float))
    numbers = {group: number for number, group in enumerate(cells["group"].unique())}
    return cells.assign(x=cells["group"].map(numbers).astype(float))


def _joined(evidence: Evidence) -> list[str]:
    """The axes that distinguish no groups, where all axes together would make more than `MOST`."""
    axes = [axis for axis in varying(evidence.cells, evidence) if axis != WIDTH]
    if len(evidence.cells[axes].drop_duplicates()) <= MOST:
        return []
    kept: list[str] = []
    for axis in axes:
        if len(evidence.cells[[*kept, axis]].drop_duplicates()) > ORDERED:
            break
        kept.append(axis)
    return axes[len(kept) :]


def _shifts(ours: pd.DataFrame, groups: Sequence[str]) -> tuple[dict[str, dict[float, float]], float]:
    """How far each group stands from each of its widths, in doublings, and how far apart two groups stand.

    The groups at one width stand around it, in less than the way to the next width.
    """
    found = {
        float(x): [group for group in groups if group in set(ours.loc[ours["x"] == x, "group"])]
        for x in np.sort(ours["x"].unique())
    }
    widths = np.array(list(found))
    doublings = np.diff(np.log2(widths)) if (widths > 0).all() else np.array([])
    step = float(min(APART, 0.7 * doublings.min(initial=1.0) / max(map(len, found.values()), default=1)))
    shifts: dict[str, dict[float, float]] = {group: {} for group in groups}
    for x, here in found.items():
        for number, group in enumerate(here):
            shifts[group][x] = step * (number - (len(here) - 1) / 2)
    return shifts, step


def _group(
    axes: Axes,
    part: pd.DataFrame,
    color: str,
    mark: str,
    apart: tuple[Mapping[float, float], float],
    evidence: Evidence,
) -> None:
    """One group of one split: dots, means with their range, and lines between neighbouring widths."""
    wide, (shift, step) = WIDTH in evidence.axes, apart

    def at(x: "pd.Series[float]", more: float = 0.0) -> Any:
        return x * 2 ** (x.map(shift) + step * more) if wide else x + APART * more

    runs = part[part["statistic"] == "run"]
    axes.plot(at(runs["x"], 0.45), runs["value"], ".", color=color, markersize=3, markeredgewidth=0, alpha=0.55)
    means = part[part["statistic"] != "run"]
    found = means.pivot_table(index="x", columns="statistic", values="value").reset_index()
    if found.empty:
        return
    low, high = HALF if "quarter" in found else ("min", "max")
    # The mean of a skewed half may lie outside it.
    ends = [(found["mean"] - found[low]).clip(lower=0), (found[high] - found["mean"]).clip(lower=0)]
    look: dict[str, Any] = {"marker": mark, "markersize": 3.5, "elinewidth": 0.8, "linestyle": "", "color": color}
    axes.errorbar(at(found["x"]), found["mean"], ends, **look)
    every: Any = np.sort(pd.to_numeric(evidence.cells[WIDTH]).unique()) if wide else []
    for (_, one), (_, other) in zip(found.iloc[:-1].iterrows(), found.iloc[1:].iterrows(), strict=True):
        if wide and not any(one["x"] < x < other["x"] for x in every):
            axes.plot(at(pd.Series([one["x"], other["x"]])), [one["mean"], other["mean"]], color=color)


def _ticks(axes: list[Axes], data: pd.DataFrame, evidence: Evidence, *, column: bool) -> None:
    if WIDTH not in evidence.axes:
        places = data[data["statistic"] != "printed"].drop_duplicates("x")
        for panel in axes:
            names = places["group"].replace(ALL, "")
            panel.set_xticks(
                places["x"],
                names,
                rotation=90 if len(places) > FEW else 30,
                ha="right",
                va="center",
                rotation_mode="anchor",
            )
            panel.margins(x=0.2 if len(places) < 5 else 0.05)
        return
    for panel in axes:
        powers_of_two(panel, data["x"])
        if data["x"].nunique() == 1:  # or the groups at one width would fill the panel
            panel.set_xlim(data["x"].iloc[0] / 2, data["x"].iloc[0] * 2)
    for panel in axes[-1:] if column else axes:
        panel.set_xlabel(words.axis(WIDTH))
