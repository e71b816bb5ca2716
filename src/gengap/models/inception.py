"""The small Inception network of Zhang et al. (2017), appendix A, figure 3, for images of about 28 x 28 pixels.

Of width 96 it has 1,649,402 parameters for three channels and ten classes without normalisation, as published. The
published BatchNorm has shifts alone in the place of the biases; ours has scales too, 1,712 more.
"""

import torch
from torch import Tensor, nn

from gengap.models.parts import MakeNorm, norm_of
from gengap.studies.settings import Model

PART = {
    "summary": "Small Inception network with BatchNorm, the published one at width 96 (Zhang 2017).",
    "reads": ("norm", "group_size"),
}

WIDTH = 96  # of the published network, in whose units the other channels are
# Channels of the 1x1 and 3x3 convolutions of an Inception module; one number: of the convolution that halves the image.
MODULES = (32, 32), (32, 48), 80, (112, 48), (96, 64), (80, 80), (48, 96), 96, (176, 160), (176, 160)


class Convolution(nn.Module):
    """ReLU(norm(conv(x))); where nothing normalises, the convolution has biases."""

    def __init__(self, in_channels: int, channels: int, size: int, norm: MakeNorm, stride: int = 1) -> None:
        super().__init__()
        bn = norm(channels)
        bare = isinstance(bn, nn.Identity)
        self.conv = nn.Conv2d(in_channels, channels, size, stride=stride, padding=size // 2, bias=bare)
        self.bn = bn
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, channels, H / stride, W / stride]``, rounded up."""
        output: Tensor = self.relu(self.bn(self.conv(x)))
        return output


class Inception(nn.Module):
    """Convolutions of 1x1 and 3x3 pixels of the same input, one after the other along the channels."""

    def __init__(self, in_channels: int, narrow: int, wide: int, norm: MakeNorm) -> None:
        super().__init__()
        self.conv1x1 = Convolution(in_channels, narrow, 1, norm)
        self.conv3x3 = Convolution(in_channels, wide, 3, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, narrow + wide, H, W]``."""
        return torch.cat([self.conv1x1(x), self.conv3x3(x)], dim=1)


class Halving(nn.Module):
    """A 3x3 convolution of stride 2 and a max-pool of the same input, one after the other along the channels."""

    def __init__(self, in_channels: int, channels: int, norm: MakeNorm) -> None:
        super().__init__()
        self.conv = Convolution(in_channels, channels, 3, norm, stride=2)
        self.pool = nn.MaxPool2d(3, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, channels + in_channels, H / 2, W / 2]``, rounded up."""
        return torch.cat([self.conv(x), self.pool(x)], dim=1)


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`."""
    norm = norm_of(settings)

    def channels(published: int) -> int:
        return max(1, round(published * settings.width / WIDTH))

    before = channels(WIDTH)
    layers: list[nn.Module] = [Convolution(image_shape[0], before, 3, norm)]
    for module in MODULES:
        if isinstance(module, int):
            layers.append(Halving(before, channels(module), norm))
            before += channels(module)
        else:
            narrow, wide = map(channels, module)
            layers.append(Inception(before, narrow, wide, norm))
            before = narrow + wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, n_outputs))
