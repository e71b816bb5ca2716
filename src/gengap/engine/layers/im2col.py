"""Networks whose convolutions are products of matrices over all samples of a batch at once.

PyTorch computes a float64 convolution on a processor sample by sample, and its second derivative with convolutions of
even less common shapes: with few channels, most of the time is not spent on multiplications. Here a map lies in
memory as ``[C, H, W, N]``, samples last. The values under a kernel are then rows of N numbers, copied as they are,
and the convolution is one product ``[C', C k k] @ [C k k, H' W' N]``, whose derivatives of any order are again copies
and products. The price is memory: a map is kept once per tap of the kernel.
"""

import copy
import functools

import torch
from torch import Tensor, nn
from torch.nn import functional


class Im2colConv2d(nn.Conv2d):
    """A convolution as a product with the columns of its input, where it has one group and zeros around the map."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]``; the result is a view of ``[C', H', W', N]``."""
        if self.groups != 1 or self.padding_mode != "zeros" or isinstance(self.padding, str):
            return super().forward(x)
        above, beside = self.padding
        padded = functional.pad(x.permute(1, 2, 3, 0), (0, 0, beside, beside, above, above))
        pixels, height, width = _pixels(padded.shape[:3], self.kernel_size, self.stride, self.dilation, x.device)
        columns = padded.flatten(0, 2).index_select(0, pixels).view(self.weight[0].numel(), -1)
        product = self.weight.flatten(1) @ columns
        if self.bias is not None:
            product = product + self.bias[:, None]
        return product.view(-1, height, width, len(x)).permute(3, 0, 1, 2)


@functools.lru_cache(maxsize=8)
def with_im2col(network: nn.Module) -> nn.Module:
    """A copy of a module, with the same names, whose convolutions are such products."""
    network = copy.deepcopy(network)
    for layer in network.modules():
        if type(layer) is nn.Conv2d:
            layer.__class__ = Im2colConv2d
    return network


@functools.lru_cache(maxsize=64)
def _pixels(
    shape: torch.Size,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    device: torch.device,
) -> tuple[Tensor, int, int]:
    """Indices into a flattened map ``[C, H, W]`` of the values under a kernel, ``[C k k H' W']``; then H' and W'."""
    channels, *sides = shape
    rows, columns = (
        gap * torch.arange(size)[:, None] + torch.arange(0, side - gap * (size - 1), step)  # [k, H'] and [k, W']
        for side, size, step, gap in zip(sides, kernel, stride, dilation, strict=True)
    )
    pixels = sides[1] * rows[:, None, :, None] + columns[None, :, None, :]
    maps = sides[0] * sides[1] * torch.arange(channels)
    pixels = maps[:, None, None, None, None] + pixels
    return pixels.flatten().to(device), rows.shape[1], columns.shape[1]
