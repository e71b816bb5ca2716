"""One convolution, its largest answer anywhere in the image, and a linear layer (Brutzkus and Globerson 2019)."""

from collections import OrderedDict

from torch import nn

from gengap.models.parts import check_size, hidden
from gengap.studies.settings import Model

PART = {
    "summary": "One convolution of `width` filters, a max-pool over the whole map, a linear layer (Brutzkus 2019).",
    "reads": ("batchnorm", "norm", "group_size", "activation"),
    "options": {
        "filter_size": {"type": "int", "default": 5, "ge": 1, "meaning": "Pixels along each side of a filter."},
    },
}


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`.

    Raises:
        UserError: If an image is smaller than a filter.
    """
    channels, height, width = image_shape
    check_size("patch_conv", image_shape, settings.filter_size)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers.update(hidden(1, nn.Conv2d(channels, settings.width, settings.filter_size), settings))
    layers["pool"] = nn.MaxPool2d((height - settings.filter_size + 1, width - settings.filter_size + 1))
    layers["flatten"] = nn.Flatten()
    layers["output"] = nn.Linear(settings.width, n_outputs)
    return nn.Sequential(layers)
