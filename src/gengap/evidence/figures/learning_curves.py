"""Accuracy and loss while training, narrowest against widest network (Song 2019, Fig. 3.1, Fig. B.1)."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gengap.errors import UserError
from gengap.evidence.figures.drawing import (
    COLUMN,
    SPLITS,
    band,
    beside,
    epochs,
    handles,
    legend,
    log_scale,
    palette,
    panel_title,
    panels,
    title,
    unfinished,
    width,
)
from gengap.evidence.figures.groups import ALL, curves, description, first_columns, in_columns
from gengap.evidence.measurements import Evidence
from gengap.quantities import QUANTITIES

PART = {
    "summary": "Loss and accuracy while training.",
    "caption": """\
**Accuracy and loss while training** (study ``{{ snakemake.wildcards.study }}``; after Song 2019, Fig. 3.1, Fig. B.1).
The narrowest and the widest networks of the study; train solid, test dashed, evaluated on the whole sets at the end of
an epoch. Lines are means over the finished seeds, bands reach from the smallest to the largest; a network that stopped
early keeps its last value. Beyond 10 epochs their axis is linear up to 1 and logarithmic from there; that of the loss
is logarithmic, and a loss of exactly 0 leaves it downwards. BatchNorm uses the statistics that ``training.batchnorm``
names, by default the running averages; the column ``batchnorm`` of the CSV states them. Where every curve ends above
90 %, the accuracies' axis leaves out the first steps, to show how the ends differ. With more than four groups,
settings that a panel has no room for have panels of their own, twelve pairs at most; losses in one row of panels may be
different functions, as their titles say. *What to look for:* a narrow network that levels off far
above zero train loss although a perfect fit exists, beside a wide one that fits every sample while its test loss rises
again.
""",
}

MEASURES = ("accuracy", "loss")
COLUMNS, PAIRS_IN_COLUMN, MOST_PAIRS = 4, 2, 12
HIGH = 90.0  # accuracy [%] above which the ends of curves are told apart


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of accuracy [%] and loss after each epoch; see `gengap.evidence.figures.groups.curves`.

    Where the study has more than 4 groups, ``panel`` says in which pair of panels a curve is.
    """
    wanted = [f"{split}_{measure}" for measure in MEASURES for split in SPLITS]
    rows = evidence.history[evidence.history["quantity"].isin(wanted)]
    if rows.empty:
        raise UserError(
            f"study '{evidence.study['name']}': no accuracy or loss was recorded while training. "
            "Set `base.training.evaluate_every` to at most `base.training.epochs`."
        )
    cells = first_columns(_placed(evidence), MOST_PAIRS)
    return curves(rows.merge(cells[["cell", "panel"]], on="cell"), cells, by=["panel"])


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Accuracy above loss; one colour per group, train solid, test dashed."""
    found = _placed(evidence)
    cells = first_columns(found, MOST_PAIRS)
    names = list(dict.fromkeys(cells["panel"]))
    most = COLUMNS if width() > COLUMN or len(names) > 2 * PAIRS_IN_COLUMN else PAIRS_IN_COLUMN
    rows = math.ceil(len(names) / most)
    columns = math.ceil(len(names) / rows)  # of five pairs three and two, rather than four and one
    figure, axes = panels(2 * rows, columns, height=3.6 if len(names) == 1 else 3.2 * rows, wide=columns > 2)
    title(axes[0] if len(names) == 1 else figure, description(cells, evidence, of=found, extremes=True))
    colors = palette(cells["group"])
    for place in range(rows * columns):
        upper = axes[2 * columns * (place // columns) + place % columns]
        lower = axes[2 * columns * (place // columns) + place % columns + columns]
        if place >= len(names):
            upper.set_visible(False)
            lower.set_visible(False)
            continue
        own = data[data["panel"] == names[place]]
        panel_title(upper, names[place])
        if own.empty:
            lost = cells[cells["panel"] == names[place]]
            unfinished((upper, lower), lost, narrow=len(names) > 1, alone=data.empty)
        for axis, measure in ((upper, "accuracy"), (lower, "loss")):
            _curves(axis, own, measure, colors)
    for row in range(rows if len(data) else 0):
        part = data[data["panel"].isin(names[row * columns : (row + 1) * columns])]
        _labels(axes[2 * columns * row : 2 * columns * (row + 1)], part, data)
    if not data.empty:
        named = len(names) == 1 and _named(axes, data, colors)
        legend(figure, handles({} if named else colors, SPLITS), below=len(names) > 1)
    return figure


def _named(axes: list[Axes], data: pd.DataFrame, colors: dict[str, str]) -> bool:
    """Write the groups' names beside their lines, halfway between train and test; whether there was room."""
    last = data.sort_values("epoch").groupby(["quantity", "group"], sort=False)["mean"].last()
    written = [
        beside(
            panel,
            {
                group: (last.xs(group, level="group")[[f"{split}_{measure}" for split in SPLITS]].mean(), colors[group])
                for group in colors
                if group in last.index.get_level_values("group") and group != ALL
            },
        )
        for panel, measure in zip(axes[:1], MEASURES, strict=False)
    ]
    return all(written)


def _curves(axes: Axes, curves: pd.DataFrame, measure: str, colors: dict[str, str]) -> None:
    for split, linestyle in SPLITS.items():
        own = curves[curves["quantity"] == f"{split}_{measure}"]
        for group, curve in own.groupby("group", sort=False):
            band(axes, curve, colors[str(group)], linestyle)


def _labels(axes: list[Axes], row: pd.DataFrame, data: pd.DataFrame) -> None:
    """Axes of one row of pairs: the accuracies' panels, then the losses'."""
    columns = len(axes) // 2
    for first, measure in zip(axes[::columns], MEASURES, strict=True):
        unit = QUANTITIES[f"train_{measure}"].unit
        first.set_ylabel(measure if unit == "1" else f"{measure} [{unit}]")
    accuracies = row[row["quantity"].str.endswith("accuracy")]
    ends = accuracies.sort_values("epoch").groupby(["panel", "quantity", "group"], dropna=False)["mean"].last()
    if len(ends) and ends.min() > HIGH:
        axes[0].set_ylim(bottom=99 - 4 * (100 - ends.min()))
    # Losses span decades: a fitted network's train loss would hide in the frame of a linear axis.
    log_scale(axes[columns], row[row["quantity"].str.endswith("loss")])
    epochs(axes[columns], data["epoch"])
    for axis in axes[columns:]:
        axis.set_xlabel("epoch")
        axis.tick_params(labelbottom=True)


def _placed(evidence: Evidence) -> pd.DataFrame:
    return in_columns(evidence, MOST_PAIRS, extremes=True)
