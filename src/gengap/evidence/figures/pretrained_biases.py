"""Share of negative BatchNorm biases of torchvision's VGG networks (Luck Matters 2019, Fig. 16)."""

from gengap.evidence.figures.batchnorm_biases import data as data
from gengap.evidence.figures.batchnorm_biases import plot as plot

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
