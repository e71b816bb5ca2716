"""Fully connected hidden layers, then a linear output layer.

``batchnorm: after`` is the layout of Luck Matters (Tian et al. 2019), ``activation: identity`` a deep linear network.
"""

import itertools
import math
from collections import OrderedDict

from torch import nn

from gengap.models.parts import hidden, widths
from gengap.studies.settings import Model

PART = {
    "summary": "Fully connected hidden layers, of one width or in given proportions.",
    "reads": ("depth", "batchnorm", "norm", "group_size", "activation"),
    "depth": 2,
    "options": {
        "proportions": {
            "type": "floats",
            "default": [],
            "meaning": "Width of every hidden layer in units of `width`, such as [1, 1.5, 2, 2.5]; empty: all equal.",
        },
        "affine": {"type": "bool", "default": True, "meaning": "Whether BatchNorm has scales and shifts."},
    },
}

DEPTH = 2  # where the study says nothing


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`. `depth` counts the hidden layers.

    Raises:
        UserError: If `depth` and `proportions` disagree.
    """
    sizes = [math.prod(image_shape), *widths(settings, DEPTH)]
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (fan_in, width) in enumerate(itertools.pairwise(sizes), start=1):
        layers.update(hidden(number, nn.Linear(fan_in, width), settings, affine=settings.affine))
    layers["output"] = nn.Linear(sizes[-1], n_outputs)
    return nn.Sequential(layers)
