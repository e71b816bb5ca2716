"""Conv-2, Conv-4 and Conv-6 of the lottery ticket hypothesis (Frankle and Carbin 2019, Fig. 2): scaled-down VGGs.

At width 64 on CIFAR-10 they have 4,300,992, 2,425,024 and 2,261,184 weights without biases.
"""

from collections import OrderedDict

from torch import nn

from gengap.errors import UserError
from gengap.models.parts import check_size, hidden
from gengap.studies.settings import Model

PART = {
    "summary": "Conv-2, -4 and -6: pairs of 3 x 3 convolutions with a pool, then two hidden layers (Frankle 2019).",
    "reads": ("depth", "batchnorm", "norm", "group_size", "activation"),
    "depth": 2,
}

DEPTH = 2  # where the study says nothing


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`. `depth` counts the convolutions, two of them before every pool.

    Channels are `width` in the first pair and twice as many in every next one; both hidden layers have four times
    `width` units.

    Raises:
        UserError: If `depth` is not 2, 4 or 6, or the images are too small.
    """
    depth = settings.depth or DEPTH
    if depth not in (2, 4, 6):
        raise UserError(f"model.depth: {depth} is not allowed: frankle_conv has 2, 4 or 6 convolutions.")
    channels, height, width = image_shape
    check_size("frankle_conv", image_shape, 2 ** (depth // 2))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    maps = channels
    for number in range(1, depth + 1):
        out = settings.width * 2 ** ((number - 1) // 2)
        layers.update(hidden(number, nn.Conv2d(maps, out, 3, padding=1), settings))
        maps = out
        if number % 2 == 0:
            layers[f"pool{number // 2}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    shrunk = 2 ** (depth // 2)
    units = 4 * settings.width
    layers.update(hidden(1, nn.Linear(maps * (height // shrunk) * (width // shrunk), units), settings))
    layers.update(hidden(2, nn.Linear(units, units), settings))
    layers["output"] = nn.Linear(units, n_outputs)
    return nn.Sequential(layers)
