"""The wide residual network of Zagoruyko and Komodakis (2016), pre-activated, without dropout.

`width` is that of the first stage, 16 k for WRN-depth-k; the convolution before it has 16 channels for every k. For
CIFAR-10 WRN-16-4 has 2,748,890 parameters, WRN-16-10 17,116,634.
"""

import torch
from torch import Tensor, nn

from gengap.models.parts import MakeNorm, blocks_per_stage, norm_of
from gengap.studies.settings import Model

PART = {
    "summary": "Pre-activated wide residual network, depth 6 n + 4 (Zagoruyko and Komodakis 2016).",
    "reads": ("depth", "norm", "group_size"),
    "depth": 16,
}

STEM = 16  # channels of the first convolution
DEPTH = 16  # where the study says nothing


class Block(nn.Module):
    """conv3x3(ReLU(BN(conv3x3(y)))) + x with y = ReLU(BN(x)); where the channels change, conv1x1(y) in place of x."""

    def __init__(self, in_channels: int, channels: int, stride: int, norm: MakeNorm) -> None:
        super().__init__()
        self.bn1 = norm(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = norm(channels)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut: nn.Conv2d | None = None
        if in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        y = self.relu1(self.bn1(x))
        kept = x if self.shortcut is None else self.shortcut(y)
        output: Tensor = self.conv2(self.relu2(self.bn2(self.conv1(y)))) + kept
        return output


class WideResNet(nn.Module):
    """A convolution, three stages of blocks with 1, 2 and 4 times `width` channels, BN, ReLU, mean, linear layer."""

    def __init__(self, width: int, blocks: int, in_channels: int, n_outputs: int, norm: MakeNorm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, STEM, 3, padding=1, bias=False)
        self.stage1 = _stage(STEM, width, blocks, stride=1, norm=norm)
        self.stage2 = _stage(width, 2 * width, blocks, stride=2, norm=norm)
        self.stage3 = _stage(2 * width, 4 * width, blocks, stride=2, norm=norm)
        self.bn = norm(4 * width)
        self.relu = nn.ReLU()
        self.output = nn.Linear(4 * width, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, C, H, W]`` to outputs ``[N, n_outputs]``."""
        x = self.stage3(self.stage2(self.stage1(self.conv(x))))
        output: Tensor = self.output(torch.mean(self.relu(self.bn(x)), dim=(2, 3)))
        return output


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`.

    Raises:
        UserError: If the depth is not 6 n + 4.
    """
    blocks = blocks_per_stage("wide_resnet", settings.depth or DEPTH, extra=4)
    return WideResNet(settings.width, blocks, image_shape[0], n_outputs, norm_of(settings))


def _stage(in_channels: int, channels: int, blocks: int, stride: int, norm: MakeNorm) -> nn.Sequential:
    first = Block(in_channels, channels, stride, norm)
    return nn.Sequential(first, *(Block(channels, channels, 1, norm) for _ in range(blocks - 1)))
