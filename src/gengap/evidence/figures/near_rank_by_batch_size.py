"""Small singular values of the activations against the batch size (Oyedotun et al., Figures 1 to 6)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures import near_rank
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Small singular values of the activations against the batch size.",
    "needs": ("near_rank",),
    "caption": """\
**Small singular values of the activations against the batch size** (study ``{{ snakemake.wildcards.study }}``; after
Oyedotun et al., Figures 1 to 6). How many singular values of all layers' outputs, in every mode of their HOSVD, are
below 1e-4 (above) and 1e-5 (below), on training batches of each network's own batch size: after training (solid) and
before (dashed, rings). The source does not say whether its SVD was economy (left) or full (right), with the zeros that
pad a matrix of b samples and h < b units to b values. Lines are means over seeds, bands reach from the smallest to the
largest; groups at one batch size stand a little apart; dead and diverged networks are left out. The vertical axes are
logarithmic; where there is a 0, linear next to it. Counts are in float64; BatchNorm uses the mode of the probe
``near_rank``. Where a study has more widths than batch sizes, the horizontal axis shows the width. *What to look for:*
whether the count rises with the batch size in trained networks and not in untrained ones; ``near_rank_controls`` shows
how much of a rise is in the counting.
""",
}

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
