"""The residual network for CIFAR of He et al. (2016), section 4.2, with parameter-free shortcuts (option A).

Of width 16: 269,722 parameters at depth 20, 853,018 at depth 56.
"""

import torch
from torch import Tensor, nn

from gengap.models.parts import MakeNorm, blocks_per_stage, norm_of
from gengap.studies.settings import Model

PART = {
    "summary": (
        "Residual network for CIFAR, depth 6 n + 2, shortcuts without parameters; the published width is "
        "16 (He 2016, section 4.2)."
    ),
    "reads": ("depth", "norm", "group_size"),
    "depth": 20,
}

DEPTH = 20  # where the study says nothing


class Block(nn.Module):
    """ReLU(BN(conv3x3(ReLU(BN(conv3x3(x))))) + x); where the image is halved, x is subsampled, its channels padded."""

    def __init__(self, in_channels: int, channels: int, stride: int, norm: MakeNorm) -> None:
        super().__init__()
        self.stride, self.added = stride, channels - in_channels
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = norm(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, in_channels, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.added:
            x = x[:, :, :: self.stride, :: self.stride]
            before = self.added // 2
            x = nn.functional.pad(x, (0, 0, 0, 0, before, self.added - before))
        output: Tensor = self.relu2(y + x)
        return output


class ResNet(nn.Module):
    """A convolution, three stages of blocks with 1, 2 and 4 times `width` channels, a global mean, a linear layer."""

    def __init__(self, width: int, blocks: int, in_channels: int, n_outputs: int, norm: MakeNorm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn = norm(width)
        self.relu = nn.ReLU()
        self.stage1 = _stage(width, width, blocks, stride=1, norm=norm)
        self.stage2 = _stage(width, 2 * width, blocks, stride=2, norm=norm)
        self.stage3 = _stage(2 * width, 4 * width, blocks, stride=2, norm=norm)
        self.output = nn.Linear(4 * width, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, C, H, W]`` to outputs ``[N, n_outputs]``."""
        x = self.relu(self.bn(self.conv(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        output: Tensor = self.output(torch.mean(x, dim=(2, 3)))
        return output


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`.

    Raises:
        UserError: If the depth is not 6 n + 2.
    """
    blocks = blocks_per_stage("resnet", settings.depth or DEPTH, extra=2)
    return ResNet(settings.width, blocks, image_shape[0], n_outputs, norm_of(settings))


def _stage(in_channels: int, channels: int, blocks: int, stride: int, norm: MakeNorm) -> nn.Sequential:
    first = Block(in_channels, channels, stride, norm)
    return nn.Sequential(first, *(Block(channels, channels, 1, norm) for _ in range(blocks - 1)))
