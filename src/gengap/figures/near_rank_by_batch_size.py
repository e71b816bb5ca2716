"""Small singular values of the activations against the batch size (Oyedotun et al., Figures 1 to 6)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.analysis.evidence import Evidence
from gengap.figures import near_rank
from gengap.figures.drawing import panels

PANELS = {"near_rank": "$S_{10^{-4}}$, economy", "near_rank_tight": "$S_{10^{-5}}$, economy"}


def data(evidence: Evidence) -> pd.DataFrame:
    """Sums over layers and modes at both thresholds; see `gengap.figures.near_rank.points`."""
    return near_rank.points(evidence, tuple(PANELS))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A panel per threshold; solid after training, dashed before; bands are the range over seeds."""
    figure, axes = panels(len(PANELS), height=3.8)
    for one, (quantity, label) in zip(axes, PANELS.items(), strict=True):
        near_rank.panel(one, data, quantity, label)
    near_rank.finish(figure, axes, data, evidence)
    return figure
