"""Convolutions of 3 x 3 without padding or pools, then a linear layer on the whole last map: Luck Matters (2019).

Of 4 layers with 64 channels it is the paper's convolutional teacher: 521,124 parameters for one channel of 16 x 16
pixels and 100 outputs.
"""

import itertools
from collections import OrderedDict

from torch import nn

from gengap.models.parts import check_size, hidden, widths
from gengap.studies.settings import Model

PART = {
    "summary": "3 x 3 convolutions without padding or pools, then a linear layer on the map (Luck Matters 2019).",
    "reads": ("depth", "batchnorm", "norm", "group_size", "activation"),
    "depth": 4,
    "options": {
        "proportions": {
            "type": "floats",
            "default": [],
            "meaning": "Channels of every convolution in units of `width`; empty: all equal.",
        },
        "affine": {"type": "bool", "default": True, "meaning": "Whether BatchNorm has scales and shifts."},
    },
}

DEPTH = 4  # where the study says nothing


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`. `depth` counts the convolutions.

    Raises:
        UserError: If the images are too small, or `depth` and `proportions` disagree.
    """
    channels, height, width = image_shape
    sizes = [channels, *widths(settings, DEPTH)]
    lost = 2 * (len(sizes) - 1)  # pixels of each side
    check_size("plain_conv", image_shape, lost + 1)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (fan_in, maps) in enumerate(itertools.pairwise(sizes), start=1):
        layers.update(hidden(number, nn.Conv2d(fan_in, maps, 3), settings, affine=settings.affine))
    layers["flatten"] = nn.Flatten()
    layers["output"] = nn.Linear(sizes[-1] * (height - lost) * (width - lost), n_outputs)
    return nn.Sequential(layers)
