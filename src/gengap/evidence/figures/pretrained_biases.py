"""Share of negative BatchNorm biases of torchvision's VGG networks (Luck Matters 2019, Fig. 16)."""

import pandas as pd
from matplotlib.figure import Figure

from gengap.evidence.figures import batchnorm_biases
from gengap.evidence.measurements import Evidence

PART = {
    "summary": "Share of negative BatchNorm biases of torchvision's VGG networks, by layer.",
    "simulation": "pretrained_biases",
    "needs": ("negative_bias_share",),
    "caption": """\
**Share of negative BatchNorm biases of torchvision's networks** (study ``{{ snakemake.wildcards.study }}``; after Tian
et al. 2019, Fig. 16). By BatchNorm layer from the input, after training on ImageNet; one network of each kind. *What to
look for:* shares above one half (dotted), the larger the higher the layer.
""",
}


def data(evidence: Evidence) -> pd.DataFrame:
    """The share by network and layer, as of `batchnorm_biases`."""
    return batchnorm_biases.data(evidence)


def plot(data: pd.DataFrame, evidence: Evidence) -> Figure:
    """A line per network."""
    return batchnorm_biases.plot(data, evidence)
