"""VGG with BatchNorm (Simonyan and Zisserman 2015) for small images: a global mean and one linear layer at its end.

Five stages of 3x3 convolutions with 1, 2, 4, 8 and 8 times `width` channels, a 2x2 max-pool after each. Of width 64
the convolutions are those of torchvision's ``vgg*_bn``. The depth counts three linear layers, as in the paper, of which
the last alone is here.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from gengap.errors import UserError
from gengap.models.parts import hidden, normalised
from gengap.studies.settings import Model

PART = {
    "summary": (
        "VGG-11, -13, -16 or -19 with BatchNorm, a global mean and one linear layer; the published width is 64."
    ),
    "reads": ("depth", "norm", "group_size"),
    "depth": 16,
}

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # per stage
CHANNELS = (1, 2, 4, 8, 8)  # of each stage, in units of the width
DEPTH = 16  # where the study says nothing


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`.

    Raises:
        UserError: If there is no VGG of the depth.
    """
    depth = settings.depth or DEPTH
    if depth not in CONVOLUTIONS:
        raise UserError(f"model.depth: 'vgg' has {', '.join(map(str, CONVOLUTIONS))} layers, not {depth}. Choose one.")
    layers = stages(image_shape[0], settings, CONVOLUTIONS[depth])
    layers["mean"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["output"] = nn.Linear(CHANNELS[-1] * settings.width, n_outputs)
    return nn.Sequential(layers)


def stages(
    in_channels: int, settings: Model, convolutions: Sequence[int], dropout: Sequence[float] = ()
) -> OrderedDict[str, nn.Module]:
    """The convolutions, each with its normalisation and ReLU, and the pools.

    Args:
        in_channels: Of the images.
        settings: `width`, the channels of the first stage, `norm` and `group_size` are read.
        convolutions: How many each stage has.
        dropout: Each stage's share of dropped values, after each convolution but the stage's last; empty for none.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = normalised(settings)
    number = 0
    for stage, (count, factor) in enumerate(zip(convolutions, CHANNELS, strict=True), start=1):
        channels = factor * settings.width
        for place in range(count):
            number += 1
            layers.update(hidden(number, nn.Conv2d(in_channels, channels, 3, padding=1), before))
            in_channels = channels
            if dropout and place < count - 1:
                layers[f"conv{number}_dropout"] = nn.Dropout(dropout[stage - 1])
        # Rounded up, so that images of fewer than 32 pixels keep one.
        layers[f"pool{stage}"] = nn.MaxPool2d(2, ceil_mode=True)
    return layers
