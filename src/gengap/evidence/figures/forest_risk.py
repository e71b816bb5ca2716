"""Risk of forests against their leaves: first those of one tree, then more trees (Belkin 2019, Fig. 4)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.risk_curves import risk_data, risk_plot
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Error and loss of forests against the leaves of all their trees.",
    "simulation": "random_forest",
    "caption": """\
**Double descent with forests** (study ``{{ snakemake.wildcards.study }}``; Belkin et al. 2019, Fig. 4; the survey's
Fig. 18). Zero-one error and squared loss against the leaves of all trees together: up to the dotted line one tree that
may have more and more leaves, beyond it more and more trees of as many. Lines are means over draws, bands from the
smallest to the largest. *What to look for:* whether the test error rises before the dotted line, and by how much it
falls beyond.
""",
}

SHOWN = {"zero-one error [%]": ("train_error", "test_error"), "squared loss": ("train_loss", "test_loss")}


def data(evidence: Evidence) -> pd.DataFrame:
    """See `risk_data`."""
    return risk_data(evidence, [name for names in SHOWN.values() for name in names], "random_forest", "leaves")


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per quantity."""
    return risk_plot(data, evidence, SHOWN, "leaves of all trees")
