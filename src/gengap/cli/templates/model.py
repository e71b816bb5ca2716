"""One hidden layer of ReLUs: replace this by one sentence on NAME and its paper."""

import math
from collections import OrderedDict

from torch import nn

from gengap.studies.settings import Model

PART = {
    "summary": "One hidden layer of `width` ReLUs.",
}


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            linear1=nn.Linear(math.prod(image_shape), settings.width),
            relu1=nn.ReLU(),
            output=nn.Linear(settings.width, n_outputs),
        )
    )
