"""Small singular values of the activations against the batch size (Oyedotun et al., Figures 1 to 6)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures import near_rank
from gengap.evidence.measurements import Evidence

PANELS = {
    "near_rank": r"below $10^{-4}$, economy",
    "near_rank_full": r"below $10^{-4}$, full",
    "near_rank_tight": r"below $10^{-5}$, economy",
    "near_rank_tight_full": r"below $10^{-5}$, full",
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Sums over layers and modes at both thresholds, of both kinds of SVD, as `near_rank.points` gives them."""
    return near_rank.points(evidence, tuple(PANELS))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A panel per threshold and kind of SVD; see `gengap.evidence.figures.near_rank.drawn`."""
    return near_rank.drawn(data, evidence, PANELS, height=4.0)
