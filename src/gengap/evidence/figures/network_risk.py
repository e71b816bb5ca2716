"""Risk of networks against their parameters, with and without reuse of smaller networks (Belkin 2019, Fig. 3)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.risk_curves import risk_data, risk_plot
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Error and loss of networks against their number of parameters.",
    "needs": ("train_accuracy", "test_accuracy", "train_loss", "test_loss"),
    "caption": """\
**Double descent with networks** (study ``{{ snakemake.wildcards.study }}``; Belkin et al. 2019, Fig. 3; the survey's
Fig. 18). Zero-one error and squared loss at the end against the number of parameters, of networks that start from new
weights and of networks that start from the next smaller one. Lines are means over seeds, bands reach from the smallest
to the largest; the dotted line is n K parameters, for n images of K classes. *What to look for:* a peak at the dotted
line, and whether it stays when no network starts from a smaller one.
""",
}

SHOWN = {"zero-one error [%]": ("train_error", "test_error"), "squared loss": ("train_loss", "test_loss")}


def data(evidence: Evidence) -> pd.DataFrame:
    """See `risk_data`."""
    return risk_data(evidence, [name for names in SHOWN.values() for name in names], "performance", "n_parameters")


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per quantity."""
    return risk_plot(data, evidence, SHOWN, "parameters")
