"""Accuracies on clean images, images with patches, and patches alone, while training (Li, Wei and Ma 2019, Fig. 5)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.drawing import band, epochs, handles, legend, palette, panels, title, unfinished
from gengap.evidence.figures.groups import curves, description, first_groups, labelled
from gengap.evidence.measurements import Evidence, measured

PART = {
    "summary": "Accuracy on clean images, mixed images and patches alone against epochs.",
    "caption": """\
**Clean images, mixed images, patches alone** (study ``{{ snakemake.wildcards.study }}``; Li, Wei and Ma 2019, Fig.
5). Accuracies at the saved epochs on three test sets: images as they are; with patches as in training, some blank;
blank images with patches of random classes. Lines are means over the finished seeds, bands reach from the smallest to
the largest. At most eight groups are shown. *What to look for:* the small rate knows patches first and clean images
least; the large rate catches up on patches once it falls.
""",
    "needs": ("clean_accuracy",),
}

SHOWN = {"clean_accuracy": "clean", "test_accuracy": "mixed", "patch_only_accuracy": "patch only"}
MOST_GROUPS = 8


def data(evidence: Evidence) -> pd.DataFrame:
    """Mean and range over seeds of the three accuracies [%] at each saved epoch."""
    measured(evidence, "clean_accuracy", "performance")
    rows = evidence.measurements
    return curves(rows[rows["quantity"].isin(SHOWN) & (rows["layer"] == "")], first_groups(evidence, MOST_GROUPS))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per test set, one colour per group."""
    cells = first_groups(evidence, MOST_GROUPS)
    figure, axes = panels(len(SHOWN), height=4.6)
    title(figure, description(cells, evidence, of=labelled(evidence)))
    if data.empty:
        unfinished(axes, cells)
        return figure
    colors = palette(data["group"])
    for panel, (quantity, words) in zip(axes, SHOWN.items(), strict=True):
        for group, curve in data[data["quantity"] == quantity].groupby("group", sort=False):
            band(panel, curve, colors[str(group)])
        panel.set_ylabel(f"{words} [%]")
    epochs(axes[-1], data["epoch"])
    axes[-1].set_xlabel("epoch")
    figure.align_ylabels()
    legend(figure, handles(colors), below=True)
    return figure
