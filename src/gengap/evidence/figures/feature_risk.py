"""Risk and norm of least squares on random features against their number (Belkin 2019, Fig. 2)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures.risk_curves import risk_data, risk_plot
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Error, loss and norm of least squares on random Fourier features against their number.",
    "simulation": "random_features",
    "caption": """\
**Double descent with random features** (study ``{{ snakemake.wildcards.study }}``; Belkin et al. 2019, Fig. 2; the
survey's Fig. 17). Zero-one error, squared loss and norm of the solution against the number N of complex random Fourier
features, of the least-squares solution of minimum norm. Lines are means over draws, bands reach from the smallest to
the largest, thin horizontal lines are the Gaussian kernel, N without end, and the dotted line is N = n, from which on
all training labels can be fitted. *What to look for:* a peak of test loss and norm at the dotted line, and a second
descent beyond it, to below the first minimum.
""",
}

SHOWN = {
    "zero-one error [%]": ("train_error", "test_error"),
    "squared loss": ("train_loss", "test_loss"),
    "norm": ("solution_norm",),
}


def data(evidence: Evidence) -> pd.DataFrame:
    """See `risk_data`."""
    return risk_data(evidence, [name for names in SHOWN.values() for name in names], "random_features", "features")


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """One panel per quantity."""
    return risk_plot(data, evidence, SHOWN, "complex features N")
