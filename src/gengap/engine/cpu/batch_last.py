"""Networks that train with the batch last in memory, where our own kernels can run them."""

import copy

import torch
from torch import Tensor, nn

from gengap.engine.cpu import operators
from gengap.engine.layers.batchnorm import FunctionalBatchNorm


class BatchLastConv2d(nn.Conv2d):
    """A convolution that runs on our kernels where they can take its input, else on PyTorch's."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]``."""
        if not operators.supports_batch(x):
            return super().forward(x)
        (stride, _), padding, (dilation, _) = self.stride, self.padding, self.dilation
        assert not isinstance(padding, str)
        return operators.conv2d(x, self.weight, self.bias, stride, padding[0], dilation)


class BatchLastLinear(nn.Linear):
    """A linear layer after convolutions: on our kernels, a convolution of a map of one pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, features]``."""
        if x.dim() != 2 or not operators.supports_batch(x):
            return super().forward(x)
        y = operators.conv2d(x[:, :, None, None], self.weight[:, :, None, None], self.bias, 1, 0, 1)
        return y.flatten(1)


class BatchLastBatchNorm(FunctionalBatchNorm):
    """BatchNorm that in training runs on our kernels where they can take its input, else as `FunctionalBatchNorm`."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[N, C, ...]`` over all dimensions but the second."""
        if not self.training or not operators.supports_batch(x):
            return super().forward(x)
        weight = self.weight if self.affine else torch.ones_like(self.running_mean)
        bias = self.bias if self.affine else torch.zeros_like(self.running_mean)
        y, mean, var = operators.batch_norm(x[:, :, None, None] if x.dim() == 2 else x, weight, bias, self.eps)
        self.keep(mean, var, x.numel() // x.shape[1])
        return y.flatten(1) if x.dim() == 2 else y


def batch_last(network: nn.Module) -> nn.Module:
    """A copy of a converted module, with the same names, whose layers run on our kernels.

    The module itself if it has no convolution that they know.
    """
    if not any(_supported(layer) for layer in network.modules()):
        return network
    network = copy.deepcopy(network)
    for layer in network.modules():
        if type(layer) in _KINDS and (type(layer) is not nn.Conv2d or _supported(layer)):
            layer.__class__ = _KINDS[type(layer)]
    return network


def gather_batches(network: nn.Module, images: Tensor, index: Tensor) -> Tensor:
    """Every network's own batch: ``images[index]``, laid out as the network reads it.

    Args:
        network: The one that reads it.
        images: ``[M, C, H, W]``.
        index: ``[K, N]``.
    """
    first = next((layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))), None)
    if isinstance(first, BatchLastConv2d) and operators.supports_batch(images, index.shape[1]):
        return operators.gather(images, index)
    return images[index]


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: BatchLastConv2d,
    nn.Linear: BatchLastLinear,
    FunctionalBatchNorm: BatchLastBatchNorm,
}


def _supported(layer: nn.Module) -> bool:
    """Convolutions with one group, zeros around the map, and the same stride, padding and dilation both ways."""
    if type(layer) is not nn.Conv2d or layer.groups != 1 or layer.padding_mode != "zeros":
        return False
    both_ways = (layer.stride, layer.padding, layer.dilation)
    return all(isinstance(pair, tuple) and len(set(pair)) == 1 for pair in both_ways)
