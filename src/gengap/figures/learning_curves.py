"""Accuracy and loss while training, narrowest against widest network (Song 2019, Fig. 3.1)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.analysis.evidence import Evidence
from gengap.errors import UserError
from gengap.figures.drawing import SPLITS, band, epochs, handles, legend, log_scale, note, palette, panels, title
from gengap.figures.groups import curves, description, failures, labelled
from gengap.quantities import QUANTITIES

MEASURES = ("accuracy", "loss")


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of accuracy [%] and loss after each epoch; see `gengap.figures.groups.curves`."""
    wanted = [f"{split}_{measure}" for measure in MEASURES for split in SPLITS]
    rows = evidence.history[evidence.history["quantity"].isin(wanted)]
    if rows.empty:
        raise UserError(
            f"study '{evidence.study['name']}': no accuracy or loss was recorded while training. "
            "Set `base.training.evaluate_every` to at most `base.training.epochs`."
        )
    return curves(rows, labelled(evidence, extremes=True))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Accuracy above loss; one colour per group, train solid, test dashed."""
    cells = labelled(evidence, extremes=True)
    figure, axes = panels(len(MEASURES), height=3.6)
    title(axes[0], description(cells, evidence))
    if data.empty:
        for panel in axes:
            note(panel, f"no finished network ({failures(cells)})")
        return figure
    colors = palette(data["group"])
    for panel, measure in zip(axes, MEASURES, strict=True):
        for split, linestyle in SPLITS.items():
            shown = data[data["quantity"] == f"{split}_{measure}"]
            for group, curve in shown.groupby("group", sort=False):
                band(panel, curve, colors[str(group)], linestyle)
        unit = QUANTITIES[f"train_{measure}"].unit
        panel.set_ylabel(measure if unit == "1" else f"{measure} [{unit}]")
    # Losses span decades: a fitted network's train loss would hide in the frame of a linear axis.
    log_scale(axes[1], data[data["quantity"].str.endswith("loss")])
    epochs(axes[1], data["epoch"])
    axes[1].set_xlabel("epoch")
    legend(figure, handles(colors, SPLITS))
    return figure
