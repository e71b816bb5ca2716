"""How much of the rise of small singular values with batch size remains under controls."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures import near_rank
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Small singular values against the batch size, counted in six ways, before and after training.",
    "needs": ("near_rank",),
    "caption": """\
**What is left of the rise under controls** (study ``{{ snakemake.wildcards.study }}``; after Oyedotun et al., Figures 1
to 6). Six ways to count the singular values of all layers' outputs below 1e-4, after training (solid) and before
(dashed, rings): means, and bands from the smallest to the largest seed; groups at one place stand a little apart. *Full
SVD:* with the zeros that pad a matrix of b samples and h < b units to b values: b - h for every layer that is narrower
than the batch, in any network. *Economy SVD:* without them. *Share:* of all economy values, since a larger batch has
more of them. *Below 1e-4 of the largest:* relative to the largest value of its layer and mode, since sums over more
samples are larger. *The same batch for all:* networks of all batch sizes on one batch of the size that the probe's
``control_size`` names, so that only the weights differ. *Float32:* the economy count in single precision, whose
rounding is near the threshold for large batches. The vertical axes are logarithmic; where there is a 0, linear next to
it. *What to look for:* an effect of training with large batches must be there with the same batch for all, and must be
absent in untrained networks; what rises in both is in the counting.
""",
}

PANELS = {
    "near_rank_full": "full SVD, zeros too",
    "near_rank": "economy SVD",
    "near_rank_share": "as a share of all values",
    "near_rank_relative": r"below largest$/10^{4}$",
    "near_rank_control": "the same batch for all",
    "near_rank_float32": "economy, float32",
}


def data(evidence: Evidence) -> pd.DataFrame:
    """Sums over layers and modes of every count; see `gengap.evidence.figures.near_rank.points`."""
    return near_rank.points(evidence, tuple(PANELS))


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A panel per way of counting; see `gengap.evidence.figures.near_rank.drawn`."""
    return near_rank.drawn(data, evidence, PANELS, height=5.2)
