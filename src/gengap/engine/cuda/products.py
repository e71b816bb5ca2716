"""Networks whose convolutions are matrix products, where a network's windows are few enough to be copied."""

import copy

from torch import Tensor, nn

from gengap.engine.cuda import tiles

# Numbers of all windows of one network's batch up to which copying them costs less than a launch per network: 32 MiB.
_MOST_COPIED = 2**23


class ProductConv2d(nn.Conv2d):
    """A convolution as a product, by the tiles that its sizes make the fastest; else as PyTorch has it."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]``."""
        tiling = tiles.best_tiling(self, (x.shape[2], x.shape[3]), len(x))
        if tiles.window_numbers(self, tiling) * len(x) > _MOST_COPIED:
            return super().forward(x)
        return tiles.convolve(x, self.weight, self.bias, tiling)


def with_products(network: nn.Module) -> nn.Module:
    """A copy of a module, with the same names, whose convolutions of one group are products; itself without any."""
    if not any(_supported(layer) for layer in network.modules()):
        return network
    network = copy.deepcopy(network)
    for layer in network.modules():
        if _supported(layer):
            layer.__class__ = ProductConv2d
    return network


def _supported(layer: nn.Module) -> bool:
    if type(layer) is not nn.Conv2d:
        return False
    return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
