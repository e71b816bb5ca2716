"""Fully connected hidden layers of one width, then a linear output layer.

``batchnorm: after`` is the layout of Luck Matters (Tian et al. 2019), ``activation: identity`` a deep linear network.
"""

import itertools
import math
from collections import OrderedDict

from torch import nn

from gengap.models.parts import hidden
from gengap.studies.settings import Model

PART = {
    "summary": "Fully connected hidden layers of one width.",
    "reads": ("depth", "batchnorm", "activation"),
    "depth": 2,
}

DEPTH = 2  # where the study says nothing


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`. `depth` counts the hidden layers."""
    sizes = [math.prod(image_shape)] + [settings.width] * (settings.depth or DEPTH)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (fan_in, width) in enumerate(itertools.pairwise(sizes), start=1):
        layers.update(hidden(number, nn.Linear(fan_in, width), settings))
    layers["output"] = nn.Linear(sizes[-1], n_outputs)
    return nn.Sequential(layers)
