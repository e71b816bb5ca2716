"""Networks whose filters are rescaled where a BatchNorm follows, with the same outputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gengap.engine.graph.network_graph import norms_after
from gengap.engine.stack import Architecture, State, outputs


def with_unit_filters(arch: Architecture, state: State, images: Tensor) -> State:
    """Divide each filter (a row of a layer's weight) by its norm, wherever a BatchNorm reads the layer's output.

    Bias, mean and standard deviation are divided with it, so that the network in evaluation mode is the same function
    of its input. On its batches' own statistics it is the same up to BatchNorm's eps, which is not divided. Filters
    of norm 0, and layers that no BatchNorm reads, are left as they are.

    Args:
        arch: The architecture.
        state: Stacked state ``[K, ...]``.
        images: A few images, on which the outputs are compared.

    Raises:
        ValueError: If an output changed: something else reads it as well.

    Source: the scale invariance in Li, Xu, Taylor, Studer and Goldstein (2018), arXiv:1712.09913, section 4.
    """
    return _rescaled(arch, state, images, lambda lengths: torch.where(lengths > 0, 1 / lengths, 1.0))


def with_scaled_filters(arch: Architecture, state: State, images: Tensor, factor: float) -> State:
    """Multiply each filter by one factor, wherever a BatchNorm reads the layer's output; see `with_unit_filters`.

    Source: Dinh, Pascanu, Bengio and Bengio (2017), arXiv:1703.04933, section 4, whose rescaling BatchNorm allows in
    one layer alone.
    """
    return _rescaled(arch, state, images, lambda lengths: torch.full_like(lengths, factor))


def _rescaled(arch: Architecture, state: State, images: Tensor, scale_of: Callable[[Tensor], Tensor]) -> State:
    """Multiply each filter by what `scale_of` makes of the filters' norms ``[K, filters]``."""
    result = dict(state)
    for layer, norm in norms_after(arch, tuple(images.shape[1:])).items():
        batchnorm: Any = arch.evaluation.get_submodule(norm)
        eps: float = batchnorm.eps
        scale = scale_of(state[f"{layer}.weight"].flatten(2).norm(dim=2))
        for name in (f"{layer}.weight", f"{layer}.bias", f"{norm}.running_mean"):
            if name in state:
                result[name] = state[name] * scale.reshape(*scale.shape, *[1] * (state[name].dim() - 2))
        variance = f"{norm}.running_var"
        result[variance] = scale.square() * (state[variance] + eps) - eps
    with torch.no_grad():
        before, after = (outputs(arch.evaluation, each, images) for each in (state, result))
    if not torch.allclose(before, after, rtol=1e-6, atol=1e-6 * float(before.abs().max()), equal_nan=True):
        raise ValueError(
            "Filters before a BatchNorm cannot be rescaled here: something beside the BatchNorm reads their "
            "layer's output. Leave this model out of the probe's study."
        )
    return result
