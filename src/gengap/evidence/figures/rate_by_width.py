"""Rate of convergence, changed ReLUs and drift of wide networks against their width (Du et al. 2019)."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.by_axis import axis_data, axis_plot
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Rate of convergence over its bound, changed ReLUs and drift against the width.",
    "simulation": "wide_network_rate",
    "caption": """\
**Convergence of wide networks** (study ``{{ snakemake.wildcards.study }}``; Du et al. 2019). Against the width m of
one hidden layer: the fall of the log loss per step over the one that the theorem guarantees; the share of ReLUs that
switch during training, for the input with most; the largest distance of a unit from its start. Means over draws, bars
their 95 % bootstrap intervals. *What to look for:* a rate above 1 that grows with m and levels off, and weights that
move less and less.
""",
}

SHOWN: dict[str, dict[str, Any]] = {
    "rate over bound": {"rate_over_bound": "-"},
    "changed ReLUs [%]": {"changed_patterns": "-"},
    "largest drift": {"largest_drift": "-"},
}


def data(evidence: Evidence) -> pd.DataFrame:
    """See `axis_data`."""
    return axis_data(evidence, "width", [name for names in SHOWN.values() for name in names], "wide_network_rate")


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per quantity."""
    return axis_plot(data, evidence, SHOWN, "width m")
