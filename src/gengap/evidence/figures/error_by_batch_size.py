"""Final errors and losses against the batch size, beside the printed ones (Oyedotun et al., Tables 1 to 11)."""

import functools
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap.evidence import words
from gengap.evidence.figures.drawing import (
    GREY,
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
from gengap.evidence.figures.groups import description, labelled
from gengap.evidence.figures.printed import printed, source
from gengap.evidence.intervals import grouped, usable
from gengap.evidence.measurements import Evidence, lacking
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Final errors and losses against the batch size, beside the printed ones.",
    "published": True,
    "needs": (
        "train_accuracy",
        "test_accuracy",
        "train_loss",
        "test_loss",
    ),
    "caption": """\
**Final error and loss against the batch size** (study ``{{ snakemake.wildcards.study }}``; after Oyedotun et al.,
Tables 1 to 11). One column of panels per dataset. Above: errors in percent. Middle: mean data losses. Below: the same
losses plus the L2 penalty d/2 |θ|², with the weight decay d; the source does not say which of the two it printed, so
its numbers stand in both. Filled circles are the training set, open ones the test set: means over the finished seeds at
the last measured epoch; bars reach from the smallest seed to the largest, lines join the means. Diamonds, if there are
any, are printed numbers, filled for training and open for test. At one batch size, test stands a little right of
training, groups stand a little apart, and printed numbers stand at the right, so that none hides another. Dead, stuck
and diverged networks are not drawn; the line above the panels counts them. BatchNorm uses the mode of the probe
``performance``. *What to look for:* whether error and loss rise with the batch size as the printed ones do, and whether
the loss does so without the penalty, which fewer steps leave larger.
""",
}

BATCH_SIZE, DATASET = "batch_size", "dataset"
ROWS = {
    "error [%]": ("train_error", "test_error"),
    "loss": ("train_loss", "test_loss"),
    "loss + L2 penalty": ("train_objective", "test_objective"),
}
APART = 0.22  # between neighbouring marks at one batch size, as a share of a doubling
MARGIN = 0.04  # room below 0 and above the highest mark, as a share of the axis, so that no mark is cut
NEAR = 0.8  # share of the way between two batch sizes that marks may take
MOST_RATIO = 3.0  # between the largest numbers of datasets that share an axis
COLUMNS = ["panel", "group", "x", "quantity", "n", "mean", "min", "max", "source"]


def data(evidence: Evidence) -> pd.DataFrame:
    """Means and ranges over seeds in the units of display, and the printed numbers.

    Returns:
        Columns ``panel`` (the dataset), ``group``, ``x`` (the batch size), ``quantity``, ``n``, ``mean``, ``min``,
        ``max`` and ``source``: empty of ours, else who printed ``mean``.

    Raises:
        UserError: If the study lacks the probe ``performance``.
    """
    shown = [name for pair in ROWS.values() for name in pair]
    for quantity in ("train_error", "train_loss"):
        if quantity not in evidence.cells:
            raise lacking(evidence, quantity, "performance")
    cells = _placed(evidence)
    rows: list[tuple[object, ...]] = []
    for at, part in grouped(cells, ["panel", "group", "x"]):
        for quantity in (name for name in shown if name in cells):
            values = usable(part, quantity) * QUANTITIES[quantity].scale
            if len(values):
                rows.append((*at.values(), quantity, len(values), values.mean(), values.min(), values.max(), ""))
    places = cells.set_index("cell")
    for row in printed(evidence, shown).to_dict("records"):
        own = places.loc[list(row["cells"]), ["panel", "x"]].drop_duplicates()
        for panel, x in own.itertuples(index=False, name=None):
            rows.append((panel, "", x, row["quantity"], 0, row["value"], np.nan, np.nan, row["source"]))
    return pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(ignore_index=True)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A row of panels per measure, a column per dataset; one colour per group."""
    cells = _placed(evidence)
    names = list(dict.fromkeys(cells["panel"]))
    shared = _of_one_size(data)
    figure, axes = panels(len(ROWS), len(names), height=4.6, share_rows=shared, wide=len(names) > 2)
    title(figure, description(cells, evidence))
    if data.empty:
        unfinished(axes, cells, narrow=True)
        return figure
    ours, published = data[data["source"] == ""], data[data["source"] != ""]
    colors = palette(dict.fromkeys(cells["group"]))
    beside = functools.partial(_beside, of=len(colors), apart=_apart(data["x"], len(colors)))
    for place, panel in enumerate(axes):
        (label, quantities), name = list(ROWS.items())[place // len(names)], names[place % len(names)]
        own = ours[(ours["panel"] == name) & ours["quantity"].isin(quantities)]
        for (group, quantity), part in own.groupby(["group", "quantity"], sort=False):
            number, test = list(colors).index(str(group)), quantity == quantities[1]
            _ours(panel, part, colors[str(group)], beside(number, test=test), test=test)
        other = published[(published["panel"] == name) & published["quantity"].isin(quantities)]
        for quantity, part in other.groupby("quantity", sort=False):
            test = quantity == quantities[1]
            look: dict[str, Any] = {"color": "black", "marker": "D", "markersize": 3.5, "linestyle": "", "zorder": 4}
            x = part["x"] * 2 ** beside(len(colors), test=test)
            panel.plot(x, part["mean"], fillstyle="none" if test else "full", **look)
        if own.empty:
            note(panel, "not measured", alone=False)
        if place < len(names):
            panel.set_title(name)
        if not place % len(names):
            panel.set_ylabel(label)
        powers_of_two(panel, data["x"])
        if place >= len(names) * (len(ROWS) - 1):
            panel.set_xlabel(words.axis(BATCH_SIZE))
    for panel, (_, top) in zip(axes, [panel.get_ylim() for panel in axes], strict=True):
        panel.set_ylim(-MARGIN * top, (1 + MARGIN) * top)
    figure.align_ylabels()
    marks: dict[str, Any] = {"color": GREY, "marker": "o", "markersize": 3.5}
    entries = handles(colors if len(colors) > 1 else {})
    entries += [handle("train", **marks), handle("test", fillstyle="none", linestyle="--", **marks)]
    if len(published):
        entries.append(handle(source(published), color="black", marker="D", markersize=3.5, linestyle=""))
    legend(figure, entries, below=True)
    return figure


def _of_one_size(data: pd.DataFrame) -> bool:
    """Whether datasets can share the vertical axes, so that the smallest numbers are legible beside the largest."""
    largest = data.groupby(["quantity", "panel"], sort=False)["mean"].max()
    ranges = largest.groupby("quantity").agg(lambda values: values.max() / values.min() if values.min() else np.inf)
    return bool((ranges < MOST_RATIO).all())


def _ours(panel: Axes, part: pd.DataFrame, color: str, apart: float, *, test: bool) -> None:
    """Means with their ranges."""
    part = part.sort_values("x")
    # The mean of equal numbers may be a last digit off.
    ends = [(part["mean"] - part["min"]).clip(lower=0), (part["max"] - part["mean"]).clip(lower=0)]
    look: dict[str, Any] = {"color": color, "marker": "o", "markersize": 3.5, "elinewidth": 0.8, "linewidth": 0.9}
    look |= {"fillstyle": "none", "linestyle": "--"} if test else {"fillstyle": "full", "linestyle": "-"}
    panel.errorbar(part["x"] * 2**apart, part["mean"], ends, **look)


def _apart(sizes: "pd.Series[float]", groups: int) -> float:
    """How far the marks of groups stand from one another, in doublings: those of a batch size stay nearest to it."""
    gaps = np.diff(np.log2(np.unique(sizes)))
    return min([APART, *map(float, NEAR * gaps / (groups + 1))])


def _beside(number: int, *, of: int, apart: float, test: bool) -> float:
    """How far a mark stands from its batch size, in doublings."""
    return apart * (number - of / 2 + (0.45 if test else 0.0))


def _placed(evidence: Evidence) -> pd.DataFrame:
    """All cells with panel, group and batch size; axes that the batch size decides, such as epochs, name no group."""
    cells = evidence.cells
    axes = [axis for axis in (BATCH_SIZE, DATASET) if axis in evidence.axes]
    decided = [other for other in evidence.axes if _decides(cells, other)]
    found = labelled(evidence, apart=[*axes, *decided])
    fixed = evidence.study.get("fixed", {})
    sizes = found[BATCH_SIZE] if BATCH_SIZE in axes else pd.Series(fixed.get(BATCH_SIZE, 1), index=found.index)
    sets = found[DATASET] if DATASET in axes else pd.Series(fixed.get(DATASET, ""), index=found.index)
    numbers = pd.to_numeric(sizes, errors="coerce").fillna(1)
    return found.assign(x=numbers.astype(float), panel=[words.setting(DATASET, name) for name in sets])


def _decides(cells: pd.DataFrame, other: str) -> bool:
    """Whether the batch size decides an axis, so that it would name the batch size once more."""
    return BATCH_SIZE in cells and other != BATCH_SIZE and cells.groupby(BATCH_SIZE)[other].nunique().max() == 1
