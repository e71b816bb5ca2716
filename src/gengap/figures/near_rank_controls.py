"""What of the rise of small singular values with the batch size is left under controls."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.analysis.evidence import Evidence
from gengap.figures import near_rank
from gengap.figures.drawing import panels

PANELS = {
    "near_rank_full": "full SVD, zeros of padding too",
    "near_rank": "economy SVD",
    "near_rank_share": "share of the singular values",
    "near_rank_relative": r"below $10^{-4}$ of the largest",
    "near_rank_control": "the same batch for all",
    "near_rank_float32": "economy SVD in float32",
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Sums over layers and modes of every count; see `gengap.figures.near_rank.points`."""
    return near_rank.points(evidence, tuple(PANELS))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A panel per way of counting; solid after training, dashed before; bands are the range over seeds."""
    figure, axes = panels(3, 2, height=5.2, share_rows=False)
    for one, (quantity, label) in zip(axes, PANELS.items(), strict=True):
        near_rank.panel(one, data, quantity, label)
    near_rank.finish(figure, axes, data, evidence)
    return figure
