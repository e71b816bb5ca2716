"""The deep convolutional network of Keskar et al. (2017), table 1, as in their code; of width 64 it is C2 and C4.

VGG-16's convolutions with dropout between those of a stage, and a dense layer of 8 times `width` units.
"""

from torch import nn

from gengap.models import vgg
from gengap.models.parts import hidden, normalised
from gengap.studies.settings import Model

PART = {
    "summary": "VGG-16's convolutions with dropout and a dense layer; C2 and C4 at width 64 (Keskar 2017).",
    "reads": ("norm", "group_size"),
}

DROPOUT = (0.3, 0.4, 0.4, 0.4, 0.4)  # within each stage


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`."""
    channels, height, width = image_shape
    layers = vgg.stages(channels, settings, vgg.CONVOLUTIONS[16], DROPOUT)
    units = vgg.CHANNELS[-1] * settings.width
    rows, columns = (-(-side // 32) for side in (height, width))  # five pools, rounded up
    layers["flatten"] = nn.Flatten()
    layers["flatten_dropout"] = nn.Dropout(0.5)
    layers.update(hidden(1, nn.Linear(units * rows * columns, units), normalised(settings)))
    layers["linear1_dropout"] = nn.Dropout(0.5)
    layers["output"] = nn.Linear(units, n_outputs)
    return nn.Sequential(layers)
