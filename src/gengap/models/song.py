"""Song's network: two residual blocks of one width, each with a projected shortcut.

The printed parameter counts (721, 134,401, 589, 69,889) leave one layout: a bias in every convolution, BatchNorm
after every convolution, the shortcuts included, and no stem (Song 2019, appendices A and B). The counts do not tell
where the image is halved twice, so that is an option: by the strides of both blocks, by that of one and an average
pool before the output, or by the pool alone.
"""

import math

from torch import Tensor, nn

from gengap.models.parts import MakeNorm, norm_of
from gengap.studies.settings import Model

PART = {
    "summary": "Two residual blocks of equal width (Song 2019).",
    "reads": ("head", "norm", "group_size"),
    "options": {
        "downsample": {
            "choices": ("both", "first", "second", "pool"),
            "default": "both",
            "meaning": (
                "Which blocks halve the image by their stride; an average pool before the head makes up for the others."
            ),
        },
    },
}
STRIDES = {"both": (2, 2), "first": (2, 1), "second": (1, 2), "pool": (1, 1)}


class Block(nn.Module):
    """ReLU(BN(conv3x3(ReLU(BN(conv3x3(x))))) + BN(conv1x1(x))), with the stride in its first convolutions."""

    def __init__(self, in_channels: int, width: int, stride: int, norm: MakeNorm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = norm(width)
        self.shortcut = nn.Conv2d(in_channels, width, 1, stride=stride)
        self.shortcut_bn = norm(width)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, width, H / stride, W / stride]``."""
        y = self.relu1(self.bn1(self.conv1(x)))
        output: Tensor = self.relu2(self.bn2(self.conv2(y)) + self.shortcut_bn(self.shortcut(x)))
        return output


class Song(nn.Module):
    """Two blocks, then the output layer, with (appendix A) or without (appendix B) a hidden layer before it."""

    def __init__(self, settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> None:
        super().__init__()
        width, norm = settings.width, norm_of(settings)
        channels, height, image_width = image_shape
        features = width * math.ceil(height / 4) * math.ceil(image_width / 4)
        first, second = STRIDES[settings.downsample]
        self.block1 = Block(channels, width, first, norm)
        self.block2 = Block(width, width, second, norm)
        remaining = 4 // (first * second)
        self.pool = nn.Identity() if remaining == 1 else nn.AvgPool2d(remaining, ceil_mode=True)
        self.hidden: nn.Module = nn.Identity()
        if settings.head == "hidden":
            self.hidden = nn.Sequential()
            self.hidden.add_module("linear", nn.Linear(features, width))
            self.hidden.add_module("bn", norm(width, maps=False))
            self.hidden.add_module("relu", nn.ReLU())
            features = width
        self.output = nn.Linear(features, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, C, H, W]`` to outputs ``[N, n_outputs]``."""
        output: Tensor = self.output(self.hidden(self.pool(self.block2(self.block1(x))).flatten(1)))
        return output


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`."""
    return Song(settings, image_shape, n_outputs)
