"""Final train and test accuracy against width (Song 2019, Fig. 1.1)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from gengap.evidence.figures.drawing import (
    GREY,
    SPLITS,
    band,
    handle,
    handles,
    legend,
    palette,
    panels,
    title,
    unfinished,
)
from gengap.evidence.figures.groups import WIDTH, description, labelled
from gengap.evidence.intervals import grouped, interval, usable
from gengap.evidence.measurements import Evidence, lacking
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Final accuracy against width.",
    "needs": (
        "train_accuracy",
        "test_accuracy",
    ),
    "caption": """\
**Final accuracy against width** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Fig. 1.1). Train accuracy
(solid) and test accuracy (dashed) at each network's last measured epoch, in percent, against width on a logarithmic
axis. Dots are single networks, the line is their mean, the band reaches from the smallest to the largest. Crosses are
networks that died (their output is constant) or are stuck (they learnt nothing); they enter neither mean nor band, and
diverged networks are only counted. BatchNorm uses the mode of the probe ``performance``: statistics of the whole
training set, unless the study says otherwise. *What to look for:* whether train accuracy reaches 100 % with width, and
whether test accuracy follows or stays lower; the distance between the two lines is the generalization gap.
""",
}

COLUMNS = ["group", "x", "split", "statistic", "cell", "value", "n"]
ACCURACY = {split: f"{split}_accuracy" for split in SPLITS}


def data(evidence: Evidence) -> pd.DataFrame:
    """The plotted numbers in percent.

    Returns:
        Columns ``group``, ``x`` (the width, or the group's number where width is no axis), ``split``, ``statistic``
        (``run``, ``mean``, ``min``, ``max``; ``failed`` for a dead or stuck run, which counts in none of these),
        ``cell``, ``value``, ``n`` (runs that the statistic joins).
    """
    for quantity in ACCURACY.values():
        if quantity not in evidence.cells:
            raise lacking(evidence, quantity, "performance")
    cells = labelled(evidence, apart=[WIDTH])
    numbers = {group: number for number, group in enumerate(cells["group"].unique())}
    cells["x"] = cells[WIDTH].astype(float) if WIDTH in evidence.axes else cells["group"].map(numbers).astype(float)
    rows: list[tuple[object, ...]] = []
    for at, part in grouped(cells, ["group", "x"]):
        for split, quantity in ACCURACY.items():
            scale = QUANTITIES[quantity].scale
            values = usable(part, quantity) * scale
            found = interval(values)  # of which only the mean and the range are drawn
            here = (at["group"], at["x"], split)
            rows += [
                (*here, "run", cell, value, 1) for cell, value in zip(part["cell"][values.index], values, strict=True)
            ]
            if found.n:
                rows += [(*here, word, "", getattr(found, word), found.n) for word in ("mean", "min", "max")]
            failed = part[part["status"].isin(["dead", "stuck"])].dropna(subset=quantity)
            rows += [
                (*here, "failed", cell, value * scale, 1)
                for cell, value in zip(failed["cell"], failed[quantity], strict=True)
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One line per split and group; dots are runs, the band is their range, crosses are dead or stuck runs."""
    cells = labelled(evidence, apart=[WIDTH])
    figure, (axes,) = panels(1, height=2.5)
    title(axes, description(cells, evidence))
    axes.set_ylabel("final accuracy [%]")
    if data.empty:
        unfinished([axes], cells)
        return figure
    groups = list(data["group"].unique())
    by_split = len(groups) == 1 or WIDTH not in evidence.axes
    colors = palette(SPLITS) if by_split else palette(groups)
    for of, part in grouped(data, ["group", "split"]):
        color = colors[of["split"] if by_split else of["group"]]
        _lines(axes, part, color, SPLITS[of["split"]], joined=WIDTH in evidence.axes)
    if by_split:
        entries = [handle(split, color=colors[split], linestyle=style) for split, style in SPLITS.items()]
    else:
        entries = handles(colors, SPLITS)
    if (data["statistic"] == "failed").any():
        entries.append(handle("dead or stuck run", color=GREY, marker="x", linestyle=""))
    legend(figure, entries)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    _ticks(axes, data, evidence)
    return figure


def _lines(axes: Axes, part: pd.DataFrame, color: str, linestyle: object, *, joined: bool) -> None:
    runs = part[part["statistic"] == "run"]
    axes.plot(runs["x"], runs["value"], "o", color=color, markersize=2.5, markeredgewidth=0, alpha=0.6)
    failed = part[part["statistic"] == "failed"]
    axes.plot(failed["x"], failed["value"], "x", color=color)
    means = part[part["statistic"].isin(["mean", "min", "max"])]
    wide = means.pivot_table(index=["x", "n"], columns="statistic", values="value").reset_index()
    if wide.empty:
        return
    if joined:
        band(axes, wide, color, linestyle, x="x")
    else:
        axes.plot(wide["x"], wide["mean"], "_", color=color, markersize=12)


def _ticks(axes: Axes, data: pd.DataFrame, evidence: Evidence) -> None:
    if WIDTH not in evidence.axes:
        places = data.drop_duplicates("x")
        axes.set_xticks(places["x"], places["group"], rotation=30, ha="right", rotation_mode="anchor")
        axes.margins(x=0.2)
        return
    widths = sorted(data["x"].unique())
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(widths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{width:g}" for width in widths])
    axes.set_xlabel("width [channels]")
