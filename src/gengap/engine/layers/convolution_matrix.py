"""A convolution on maps of one size, as a matrix on the flattened map.

One product with it is faster than a convolution with few channels on a small map, although most of it is zeros.
"""

import torch
from torch import Tensor, nn


def convolution_matrix(conv: nn.Conv2d, input_shape: tuple[int, ...], weight: Tensor) -> Tensor:
    """What a convolution does, without its bias, to every image that is 1 at one pixel and 0 elsewhere.

    Args:
        conv: Gives stride, padding, dilation and groups.
        input_shape: ``(C, H, W)`` of its input.
        weight: Its weight ``[C', C, k, k]``; to be mapped for a stack.

    Returns:
        ``[C H W, C', H', W']``.
    """
    n_inputs = torch.Size(input_shape).numel()
    unit_images = torch.eye(n_inputs, dtype=weight.dtype, device=weight.device).view(n_inputs, *input_shape)
    maps: Tensor = conv._conv_forward(unit_images, weight, None)
    return maps


class MatrixConv(nn.Module):
    """A convolution as a product with its matrix."""

    def __init__(self, n_inputs: int, output_shape: tuple[int, ...]) -> None:
        super().__init__()
        n_outputs = torch.Size(output_shape).numel()
        self.weight = nn.Parameter(torch.empty(n_inputs, n_outputs, device="meta"))
        self.bias = nn.Parameter(torch.empty(n_outputs, device="meta"))
        self.output_shape = output_shape

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]``."""
        flat: Tensor = (x.flatten(1) @ self.weight).add_(self.bias)
        return flat.view(-1, *self.output_shape)
