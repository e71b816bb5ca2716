"""The shallow convolutional network of Keskar et al. (2017), table 1, as in their code; of width 64 it is C1 and C3.

Two 5x5 convolutions, dense layers of 6 and 3 times `width` units, dropout of a half after both.
"""

from collections import OrderedDict

from torch import nn

from gengap.models.parts import check_size, hidden, normalised
from gengap.studies.settings import Model

PART = {
    "summary": "Two 5 x 5 convolutions and two dense layers with dropout; C1 and C3 at width 64 (Keskar 2017).",
    "reads": ("norm", "group_size"),
}

SMALLEST = 4  # pixels: 4 -> 2 -> 1


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`.

    Raises:
        UserError: If the images are smaller than 4 x 4.
    """
    check_size("keskar_conv", image_shape, SMALLEST)
    channels, height, width = image_shape
    maps, units1, units2 = settings.width, 6 * settings.width, 3 * settings.width
    before = normalised(settings)
    rows, columns = ((side // 2) // 2 for side in (height, width))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers.update(hidden(1, nn.Conv2d(channels, maps, 5, padding=2), before))
    # Rounded up, a 3x3 window of stride 2 pads to the right and below, as Keras's "same" does for even sizes.
    layers["pool1"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    layers.update(hidden(2, nn.Conv2d(maps, maps, 5, padding=2), before))
    layers["pool2"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    layers["flatten"] = nn.Flatten()
    layers.update(hidden(1, nn.Linear(maps * rows * columns, units1), before))
    layers["linear1_dropout"] = nn.Dropout(0.5)
    layers.update(hidden(2, nn.Linear(units1, units2), before))
    layers["linear2_dropout"] = nn.Dropout(0.5)
    layers["output"] = nn.Linear(units2, n_outputs)
    return nn.Sequential(layers)
