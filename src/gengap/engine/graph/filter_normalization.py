"""Networks rescaled to filters of norm 1 where a BatchNorm follows, with the same outputs."""

import copy
from typing import Any

import torch
from torch import Tensor

from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.engine.stack import Architecture, State, outputs


def norms_behind(arch: Architecture, image_shape: tuple[int, ...]) -> dict[str, str]:
    """The BatchNorm that reads each layer's output directly, by layer; layers without one are left out.

    Args:
        arch: The architecture; its modules are on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.
    """
    network = copy.deepcopy(arch.evaluation)
    made: list[tuple[str, Tensor]] = []
    found: dict[str, str] = {}

    def reads(norm: str, given: Tensor) -> None:
        found.update({layer: norm for layer, output in made if output is given})

    for name, module in network.named_modules():
        if name in arch.layers:
            module.register_forward_hook(lambda _, __, output, name=name: made.append((name, output)))
        elif isinstance(module, FunctionalBatchNorm):
            module.register_forward_pre_hook(lambda _, inputs, name=name: reads(name, inputs[0]))
    with torch.no_grad():
        network(torch.zeros(2, *image_shape, device="meta"))
    return found


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
    result = dict(state)
    for layer, norm in norms_behind(arch, tuple(images.shape[1:])).items():
        behind: Any = arch.evaluation.get_submodule(norm)
        eps: float = behind.eps
        lengths = state[f"{layer}.weight"].flatten(2).norm(dim=2)  # [K, filters]
        scale = torch.where(lengths > 0, 1 / lengths, 1.0)
        for name in (f"{layer}.weight", f"{layer}.bias", f"{norm}.running_mean"):
            if name in state:
                result[name] = state[name] * scale.reshape(*scale.shape, *[1] * (state[name].dim() - 2))
        variance = f"{norm}.running_var"
        result[variance] = scale.square() * (state[variance] + eps) - eps
    with torch.no_grad():
        before, after = (outputs(arch.evaluation, each, images) for each in (state, result))
    if not torch.allclose(before, after, rtol=1e-6, atol=1e-6 * float(before.abs().max()), equal_nan=True):
        raise ValueError(
            "Filters in front of a BatchNorm cannot be rescaled here: something beside the BatchNorm reads their "
            "layer's output. Leave this model out of the probe's study."
        )
    return result
