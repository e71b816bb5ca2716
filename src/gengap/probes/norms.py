"""Norms of the weights that bound how much a network can vary: spectral norms, stable ranks, path norm."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.layers.modules import replace_modules
from gengap.engine.numerics.singular_values import singular_values
from gengap.engine.stack import State, n_networks, network_state
from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Spectral norms, stable ranks and the path norm.",
    "batchnorm": ("running", "exact"),
    "quantities": {
        "layer_spectral_norm": {
            "label": "layer spectral norm",
            "symbol": "\\|W_l\\|_2",
            "meaning": "Largest singular value of one layer's weights as a matrix of outputs by inputs.",
        },
        "layer_stable_rank": {
            "label": "layer stable rank",
            "symbol": "\\|W_l\\|_F^2/\\|W_l\\|_2^2",
            "meaning": "Squared Frobenius norm of one layer's weights divided by its squared spectral norm.",
        },
        "spectral_norm_product": {
            "label": "product of spectral norms",
            "symbol": "\\prod_l\\|W_l\\|_2",
            "meaning": "Product of the spectral norms of all layers.",
            "rescaling_invariant": True,
        },
        "path_norm": {
            "label": "path norm",
            "symbol": "\\|\\theta\\|_{\\mathrm{path}}",
            "meaning": (
                "Root of the sum over all paths from input to output of the product of the squared weights on the path."
            ),
            "rescaling_invariant": True,
        },
    },
    "picture": {
        "quantity": "path_norm",
    },
}

_UNCHANGED = (nn.ReLU, nn.Identity, nn.Dropout, nn.Flatten, nn.Conv2d, nn.Linear, FunctionalBatchNorm)


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure spectral norms and stable ranks of the layers, the product of the former, and the path norm.

    A convolution's kernel ``[out, in, k, k]`` is taken as the matrix ``out x (in k k)``, which is not the convolution
    as an operator on images: that one's norm is up to k times as large. The stable rank is
    ``||W||_F^2 / ||W||_2^2``. Frobenius norms and distances from the start are the probe `distance`'s.

    Args:
        context: K networks; see `ProbeContext`. BatchNorm's statistics, of the mode, enter the path norm alone.

    Returns:
        ``layer_spectral_norm`` and ``layer_stable_rank`` by layer, ``spectral_norm_product`` over all layers (biases
        and BatchNorm left out, shortcuts counted), ``path_norm``; each ``[K]``, float64. A layer whose weights are all
        0 has no stable rank: not a number.

    Raises:
        ValueError: If the network has a module whose paths are not known; see `path_norm`.

    Cost: the eigenvalues of a matrix of the size of each layer's outputs; one forward pass of one image.

    Source: Bartlett et al. (2017), arXiv:1706.08498; Neyshabur et al. (2015), arXiv:1503.00036;
    stable rank after Neyshabur et al. (2018), arXiv:1707.09564, section 1.
    """
    measured, largest = [], []
    for layer in context.arch.layers:
        matrices = [weight.double().flatten(1) for weight in context.state[f"{layer}.weight"]]
        spectral = torch.stack([singular_values(matrix, floor=math.inf)[0] for matrix in matrices])
        squares = torch.stack([matrix.square().sum() for matrix in matrices])
        largest.append(spectral)
        measured.append(Measurement("layer_spectral_norm", spectral, layer))
        measured.append(Measurement("layer_stable_rank", squares / spectral.square(), layer))
    product = torch.stack(largest).prod(dim=0)
    shape = tuple(context.train_images.shape[1:])
    networks = [network_state(context.state, place) for place in range(n_networks(context.state))]
    paths = torch.stack([path_norm(context.arch.evaluation, network, shape) for network in networks])
    return [*measured, Measurement("spectral_norm_product", product), Measurement("path_norm", paths)]


def path_norm(network: nn.Module, state: State, image_shape: tuple[int, ...]) -> Tensor:
    """The l2 path norm of ONE network: ``sqrt(sum over paths of prod w^2)``, paths from any pixel to any output.

    It is one forward pass of an image of ones through the network of squared weights. Biases are weights of paths that
    start at a constant unit. BatchNorm is the scale and shift that its statistics make of it, squared. An average over
    n pixels is n weights 1 / n; a max-pool lets every path through (Gonon et al. 2023, arXiv:2310.01225).

    Args:
        network: The evaluation module of an `Architecture`.
        state: The state of one network.
        image_shape: ``(channels, height, width)``.

    Returns:
        A float64 scalar. It does not change when a hidden unit's weights are scaled by c and the next ones by 1 / c.

    Raises:
        ValueError: If the network has a module whose paths are not known.

    Source: Neyshabur, Salakhutdinov and Srebro (2015), Path-SGD, arXiv:1506.02617, section 3.
    """
    squared = {name: value.double().square() for name, value in state.items()}
    network = replace_modules(copy.deepcopy(network), _squared)
    for name, layer in network.named_modules():
        if isinstance(layer, FunctionalBatchNorm):
            squared |= _squared_batchnorm(name, layer, state)
    image = torch.ones(1, *image_shape, dtype=torch.float64, device=next(iter(squared.values())).device)
    with torch.no_grad(), _SquaredMeans():
        output: Tensor = functional_call(network, squared, (image,))
    return output.sum().sqrt()


def _squared_batchnorm(name: str, layer: FunctionalBatchNorm, state: State) -> State:
    """State of a BatchNorm layer whose scale and shift are the squares of the given one's."""
    own = {key: state[f"{name}.{key}"].double() for key in ("weight", "bias", "running_mean", "running_var")}
    scale = own["weight"] * torch.rsqrt(own["running_var"] + layer.eps)
    shift = own["bias"] - own["running_mean"] * scale
    return {
        f"{name}.weight": scale.square(),
        f"{name}.bias": shift.square(),
        f"{name}.running_mean": torch.zeros_like(scale),
        f"{name}.running_var": torch.full_like(scale, 1 - layer.eps),
    }


class _SumPool(nn.Module):
    """A max-pool that lets every path through."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        if pool.dilation not in (1, (1, 1)):
            raise ValueError("path_norm: a max-pool with dilation is not known. Leave the probe `norms` out")
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        p = self.pool
        return functional.avg_pool2d(x, p.kernel_size, p.stride, p.padding, p.ceil_mode, divisor_override=1)


class _SquaredMeanPool(nn.Module):
    """The mean of all pixels, with squared weights."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.mean(x, dim=(2, 3), keepdim=True)


class _SquaredMeans(TorchFunctionMode):
    """Every `torch.mean` over n numbers is divided by n once more: its n weights are 1 / n^2."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result * (result.numel() / args[0].numel()) if func in (torch.mean, Tensor.mean) else result


def _squared(name: str, layer: nn.Module) -> nn.Module | None:
    """What takes a layer's place where weights are squared; None keeps it."""
    if isinstance(layer, nn.MaxPool2d):
        return _SumPool(layer)
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return _SquaredMeanPool()
    if next(layer.children(), None) is None and not isinstance(layer, _UNCHANGED):
        kind = type(layer).__name__
        raise ValueError(f"path_norm: the paths through '{name}', a {kind}, are not known. Leave out the probe `norms`")
    return None
