"""The small AlexNet of Zhang et al. (2017), appendix A: two convolutions, two dense layers, for small images.

Each convolution is followed by a max-pool and a normalisation across channels. Of width 64, with 384 and 192 units, it
has 1,387,786 parameters for their images of 28 x 28 pixels and three channels.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from gengap.models.parts import check_size, hidden
from gengap.studies.settings import Model

PART = {
    "summary": "Small AlexNet of two convolutions and two dense layers, the published one at width 64 (Zhang 2017).",
    "options": {
        "dropout": {
            "type": "float",
            "default": 0.0,
            "ge": 0,
            "lt": 1,
            "meaning": "Share of the values of both dense layers that is dropped in training.",
        },
    },
}

SMALLEST = 4  # pixels: 4 -> 2 -> 1
REACH, SCALE, POWER = 4, 0.001 / 9, 0.75  # of the local response normalization


class LocalResponseNorm(nn.Module):
    """x_c / (1 + 0.001/9 sum_d x_d^2)^0.75 over the channels d with |c - d| <= 4 (Krizhevsky et al. 2012, section 3.3).

    The constants are those of TensorFlow's tutorial for CIFAR-10. Written in elementary operations, which every kind of
    derivative passes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape."""
        squares = nn.functional.pad(x.square(), (0, 0, 0, 0, REACH, REACH))
        channels = x.shape[1]
        total = torch.stack([squares[:, shift : shift + channels] for shift in range(2 * REACH + 1)]).sum(dim=0)
        return x * (1 + SCALE * total) ** -POWER


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`.

    Raises:
        UserError: If the images are smaller than 4 x 4.
    """
    check_size("alexnet", image_shape, SMALLEST)
    channels, height, width = image_shape
    maps, units1, units2 = settings.width, 6 * settings.width, 3 * settings.width
    rows, columns = ((side // 2) // 2 for side in (height, width))
    plain = Model(width=settings.width)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in (1, 2):
        layers.update(hidden(number, nn.Conv2d(channels if number == 1 else maps, maps, 5, padding=2), plain))
        # Rounded up, a 3x3 window of stride 2 pads to the right and below: 28 -> 14 -> 7 pixels.
        layers[f"pool{number}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        layers[f"lrn{number}"] = LocalResponseNorm()
    layers["flatten"] = nn.Flatten()
    for number, (fan_in, units) in enumerate(((maps * rows * columns, units1), (units1, units2)), start=1):
        layers.update(hidden(number, nn.Linear(fan_in, units), plain))
        if settings.dropout:
            layers[f"linear{number}_dropout"] = nn.Dropout(settings.dropout)
    layers["output"] = nn.Linear(units2, n_outputs)
    return nn.Sequential(layers)
