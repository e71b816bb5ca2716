"""BatchNorm as a function of its state, in the three ways a network can be evaluated.

* ``batch``: statistics of the batch at hand, as in training.
* ``running``: the running averages kept while training (PyTorch's evaluation mode).
* ``exact``: statistics of the whole training set, layer by layer, put in the place of the running averages.
"""

import copy

import torch
from torch import Tensor, nn

from gengap.engine.layers.modules import replace_modules


class FunctionalBatchNorm(nn.Module):
    """BatchNorm whose new running statistics are assigned, not written in place, so that `torch.func` can see them.

    Computes what `nn.BatchNorm1d` and `nn.BatchNorm2d` compute, with the same names of parameters and buffers.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, like: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = like.eps
        self.momentum = 0.1 if like.momentum is None else like.momentum
        self.affine = like.affine
        if like.affine:
            self.weight = nn.Parameter(like.weight.detach().clone())
            self.bias = nn.Parameter(like.bias.detach().clone())
        # Float buffers only: the count of batches, an integer, plays no part in the arithmetic.
        device = next(like.buffers()).device
        self.register_buffer("running_mean", torch.zeros(like.num_features, device=device))
        self.register_buffer("running_var", torch.ones(like.num_features, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[N, C, ...]`` over all dimensions but the second."""
        dtype = x.dtype
        x = x.to(self.running_mean.dtype)  # bfloat16 has too few digits for a mean of squares
        if self.training:
            dims = [0, *range(2, x.dim())]
            var, mean = torch.var_mean(x, dim=dims, correction=0)
            self.keep(mean, var, x.numel() // x.shape[1])
        else:
            mean, var = self.running_mean, self.running_var
        scale = torch.rsqrt(var + self.eps)
        if self.affine:
            scale = scale * self.weight
            shift = self.bias - mean * scale
        else:
            shift = -mean * scale
        shape = [1, -1] + [1] * (x.dim() - 2)
        return (x * scale.view(shape) + shift.view(shape)).to(dtype)

    def keep(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Take a batch's statistics into the running ones; `var` is biased, of so many values."""
        unbiased = var.detach() * (count / max(count - 1, 1))
        self.running_mean = self.running_mean + self.momentum * (mean.detach() - self.running_mean)
        self.running_var = self.running_var + self.momentum * (unbiased - self.running_var)


class StatisticsBatchNorm(FunctionalBatchNorm):
    """In training mode, puts the batch's own biased statistics in the place of the running averages.

    One forward pass over the whole training set as a single batch then gives every layer its exact statistics,
    since each layer's input is already normalised with the exact statistics of the layers below.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[N, C, ...]`` with its own statistics and keep them."""
        if self.training:
            dims = [0, *range(2, x.dim())]
            var, mean = torch.var_mean(x, dim=dims, correction=0)
            self.running_mean, self.running_var = mean, var
            self.eval()
            try:
                return super().forward(x)
            finally:
                self.train()
        return super().forward(x)


def only_batchnorm_trains(network: nn.Module) -> nn.Module:
    """Put converted BatchNorm layers in training mode and all else in evaluation mode, in place."""
    for layer in network.modules():
        layer.training = isinstance(layer, FunctionalBatchNorm)
    return network


def frozen(network: nn.Module) -> nn.Module:
    """A copy of a module whose converted BatchNorm layers take their running statistics as constants."""
    network = copy.deepcopy(network)
    for layer in network.modules():
        if isinstance(layer, FunctionalBatchNorm):
            layer.eval()
    return network


def convert(network: nn.Module, kind: type[FunctionalBatchNorm] = FunctionalBatchNorm) -> nn.Module:
    """Replace every BatchNorm layer of a module, in place, and return the module.

    Raises:
        ValueError: For BatchNorm layers without running statistics, whose modes would not differ.
    """

    def converted(name: str, layer: nn.Module) -> nn.Module | None:
        if not isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            return None
        if not layer.track_running_stats:
            raise ValueError(f"BatchNorm layer '{name}' keeps no running statistics.")
        return kind(layer)

    return replace_modules(network, converted)
