"""Convolutions as matrix products, which `vmap` turns into one batched product for all networks of a pack.

The map that a convolution writes is cut into equal tiles: pixels, rows or the whole map. One matrix, the kernel with
every weight repeated where the tile reads it, takes the *window* under a tile to the tile: with tiles of one pixel this
is im2col; with the whole map as a tile nothing is copied, and most of the matrix is zeros.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# Operations in the time that one float32 number takes through a GPU's memory: 40 TFLOP/s and 2.5 TB/s.
_OPERATIONS_PER_NUMBER = 64
# How often a number passes through memory in a step: a window that is copied, and a matrix that is written out.
_PASSES = 3


@dataclass(frozen=True)
class Side:
    """A convolution along the height or the width of its map.

    Attributes:
        size: Pixels that are read.
        kernel: Taps.
        stride: Pixels between two windows.
        padding: Zeros on both ends.
        dilation: Pixels between two taps.
        whole: Whether all outputs are one tile, else each is one.
    """

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    whole: bool

    @property
    def outputs(self) -> int:
        """Pixels that are written."""
        return (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return 1 if self.whole else self.outputs

    @property
    def tile(self) -> int:
        """Pixels of a tile."""
        return self.outputs if self.whole else 1

    @property
    def window(self) -> int:
        """Pixels that a tile reads; those outside the map are left out where the tile is whole."""
        return self.size if self.whole else self.kernel

    def taps(self, device: torch.device) -> Tensor:
        """Whether an output of a tile reads a pixel of its window by a tap: bool ``[tile, kernel, window]``."""
        if not self.whole:
            return torch.eye(self.kernel, dtype=torch.bool, device=device)[None]
        first, tap, pixel = (torch.arange(count, device=device) for count in (self.tile, self.kernel, self.window))
        read = self.stride * first[:, None] + self.dilation * tap - self.padding
        return read[:, :, None] == pixel

    def windows(self, x: Tensor, dim: int) -> Tensor:
        """``[..., size, ...]`` with the pixels along `dim` to ``[window, ..., tiles, ...]``."""
        if self.whole:
            return x.unsqueeze(0).transpose(0, dim + 1)
        around = [0, 0] * (x.dim() - 1 - dim) + [self.padding] * 2
        padded = functional.pad(x, around)
        span = self.stride * (self.outputs - 1) + 1
        starts = (self.dilation * tap for tap in range(self.kernel))
        return torch.stack([_every(padded.narrow(dim, at, span), dim, self.stride) for at in starts])


Tiling = tuple[Side, Side]


def sides(conv: nn.Conv2d, size: tuple[int, int], whole: tuple[bool, bool]) -> Tiling:
    """Height and width of a convolution that reads maps of this size."""
    moves = zip(size, conv.kernel_size, conv.stride, conv.padding, conv.dilation, whole, strict=True)
    height, width = (Side(*numbers) for numbers in moves)
    return height, width


def best_tiling(conv: nn.Conv2d, size: tuple[int, int], batch_size: int) -> Tiling:
    """The tiles with which a step takes least time, by the operations and the numbers that go through memory.

    Pixels, rows and whole maps need no copy of what they write, so only these are asked. A function of sizes alone, of
    one network: another choice gives other last bits.
    """
    forms = [sides(conv, size, whole) for whole in ((False, False), (False, True), (True, True))]
    return min(forms, key=lambda form: _cost(conv, form, batch_size))


def window_numbers(conv: nn.Conv2d, tiling: Tiling) -> int:
    """Numbers of all windows of one sample."""
    height, width = tiling
    return conv.in_channels * height.window * width.window * height.tiles * width.tiles


def _cost(conv: nn.Conv2d, tiling: Tiling, batch_size: int) -> float:
    """Time per sample, in operations."""
    height, width = tiling
    written = conv.out_channels * height.tile * width.tile
    windows = window_numbers(conv, tiling)
    matrix = written * conv.in_channels * height.window * width.window
    passes = 1 if height.whole and width.whole else _PASSES
    return 2 * written * windows + _OPERATIONS_PER_NUMBER * (passes * windows + _PASSES * matrix / batch_size)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, tiling: Tiling) -> Tensor:
    """`torch.nn.functional.conv2d` of one network, of one group; `vmap` maps it over those of a pack.

    Every derivative is a product or a sum of slices as well, so nothing depends on an order of atomic additions.

    Args:
        x: ``[N, C, H, W]``.
        weight: ``[C', C, k, k]``.
        bias: ``[C']``.
        tiling: As `sides` has it.

    Returns:
        ``[N, C', H', W']``, in memory with the samples last.
    """
    height, width = tiling
    windows = width.windows(height.windows(x.permute(2, 3, 1, 0), 0), 2)  # [ww, wh, H tiles, W tiles, C, N]
    columns = windows.permute(1, 0, 4, 2, 3, 5).reshape(-1, height.tiles * width.tiles * x.shape[0])
    product = tile_matrix(weight, tiling) @ columns
    tiles = product.view(height.tile, width.tile, len(weight), height.tiles, width.tiles, x.shape[0])
    if bias is not None:
        tiles = tiles + bias[:, None, None, None]
    return tiles.permute(5, 2, 3, 0, 4, 1).reshape(x.shape[0], len(weight), height.outputs, width.outputs)


def tile_matrix(weight: Tensor, tiling: Tiling) -> Tensor:
    """The matrix from a window ``[h, w, C]`` to its tile ``[h', w', C']``."""
    height, width = tiling
    copies = weight.flatten(2) @ _taps(tiling, weight.dtype, weight.device)
    shape = (*weight.shape[:2], height.tile, width.tile, height.window, width.window)
    return copies.view(shape).permute(2, 3, 0, 4, 5, 1).reshape(height.tile * width.tile * len(weight), -1)


@functools.lru_cache(maxsize=64)
def _taps(tiling: Tiling, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Where each weight of a kernel stands, 0 or 1: ``[k k, h' w' h w]``."""
    height, width = (side.taps(device) for side in tiling)
    both = height[:, None, :, None, :, None] & width[None, :, None, :, None, :]  # [h', w', kh, kw, h, w]
    return both.permute(2, 3, 0, 1, 4, 5).flatten(2).flatten(0, 1).to(dtype)


def _every(x: Tensor, dim: int, step: int) -> Tensor:
    return x[(slice(None),) * dim + (slice(None, None, step),)]
