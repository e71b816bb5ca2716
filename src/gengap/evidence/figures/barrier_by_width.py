"""Barriers on the line and on a built path between two minima, against the width (Nguyen 2019)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.by_axis import axis_data, axis_plot
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Barriers between two minima, on the line and on a built path, against the width.",
    "simulation": "minima_path",
    "caption": """\
**Paths between minima** (study ``{{ snakemake.wildcards.study }}``; Nguyen 2019). Against the width of one hidden
layer: the largest training loss between two minima, minus that of the higher one, on the straight line (solid) and on
a path that moves half of the units at a time (dashed); and the loss of the higher minimum. Means over pairs of
networks, bars their 95 % bootstrap intervals. *What to look for:* a path without a barrier from twice as many units as
samples on.
""",
}

SHOWN: dict[str, dict[str, Any]] = {
    "barrier": {"line_barrier": "-", "path_barrier": (0, (3, 1.5))},
    "loss of the minima": {"minimum_loss": "-"},
}
NAMES = {"line_barrier": "straight line", "path_barrier": "built path"}


def data(evidence: Evidence) -> pd.DataFrame:
    """See `axis_data`."""
    return axis_data(evidence, "width", [name for names in SHOWN.values() for name in names], "minima_path")


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """Barriers above, losses below."""
    return axis_plot(data, evidence, SHOWN, "hidden units", names=NAMES)
