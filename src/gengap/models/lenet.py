"""LeNet-5 (LeCun et al. 1998) with ReLUs and max-pools, as in Li et al. (2018), "Measuring the intrinsic dimension".

Of width 6 it is the classical one: 6 and 16 maps, 120 and 84 units, 44,426 parameters for MNIST, 62,006 for CIFAR.
"""

from collections import OrderedDict

from torch import nn

from gengap.models.parts import check_size, hidden
from gengap.studies.settings import Model

PART = {
    "summary": "LeNet-5 with max-pools, the classical one at width 6 (LeCun 1998).",
    "reads": ("batchnorm", "norm", "group_size", "activation"),
}

SMALLEST = 16  # pixels: 16 -> 12 -> 6 -> 2 -> 1


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`.

    Raises:
        UserError: If the images are smaller than 16 x 16.
    """
    check_size("lenet", image_shape, SMALLEST)
    channels, height, width = image_shape
    maps1, maps2 = settings.width, round(8 / 3 * settings.width)
    units1, units2 = 20 * settings.width, 14 * settings.width
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers.update(hidden(1, nn.Conv2d(channels, maps1, 5), settings))
    layers["pool1"] = nn.MaxPool2d(2)
    layers.update(hidden(2, nn.Conv2d(maps1, maps2, 5), settings))
    layers["pool2"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    layers.update(hidden(1, nn.Linear(maps2 * rows * columns, units1), settings))
    layers.update(hidden(2, nn.Linear(units1, units2), settings))
    layers["output"] = nn.Linear(units2, n_outputs)
    return nn.Sequential(layers)
