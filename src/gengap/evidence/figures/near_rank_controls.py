"""What of the rise of small singular values with the batch size is left under controls."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures import near_rank
from gengap.evidence.measurements import Evidence

PANELS = {
    "near_rank_full": "full SVD, zeros of padding too",
    "near_rank": "economy SVD",
    "near_rank_share": "share of the singular values",
    "near_rank_relative": r"below $10^{-4}$ of the largest",
    "near_rank_control": "the same batch for all",
    "near_rank_float32": "economy SVD in float32",
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Sums over layers and modes of every count; see `gengap.evidence.figures.near_rank.points`."""
    return near_rank.points(evidence, tuple(PANELS))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A panel per way of counting; see `gengap.evidence.figures.near_rank.drawn`."""
    return near_rank.drawn(data, evidence, PANELS, height=5.2)
