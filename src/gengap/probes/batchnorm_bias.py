"""Signs of BatchNorm's biases: a negative one silences its node for most inputs."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gengap.engine.layers.batchnorm import FunctionalBatchNorm
from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Share of negative BatchNorm biases (Luck Matters, figure 6).",
    "weights_only": True,
    "quantities": {
        "negative_bias_share": {
            "label": "share of negative BatchNorm biases",
            "meaning": "Share of BatchNorm biases below 0; of a layer or of all.",
        },
        "nonpositive_bias_share": {
            "label": "share of BatchNorm biases not above 0",
            "meaning": "Share of BatchNorm biases that are 0 or below; of a layer or of all.",
        },
    },
    "picture": {
        "quantity": "negative_bias_share",
    },
}

_LAYERS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, FunctionalBatchNorm)


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure which share of each BatchNorm layer's biases is negative, and which is 0 or less.

    Args:
        context: K networks; see `ProbeContext`. Biases are weights, so the BatchNorm mode plays no part.

    Returns:
        ``negative_bias_share`` and ``nonpositive_bias_share``, float64 ``[K]``, by BatchNorm layer in the network's
        order, and (layer empty) over all of them, each bias counting once.

    Raises:
        ValueError: If the network has no BatchNorm layer with a bias.

    Cost: none to speak of.

    Source: Tian et al., Luck Matters, figures 6 and 16.
    """
    shares = bias_shares(context.arch.evaluation, context.state)
    measured = []
    for layer, (negative, nonpositive) in shares.items():
        measured.append(Measurement("negative_bias_share", negative, layer))
        measured.append(Measurement("nonpositive_bias_share", nonpositive, layer))
    return measured


def bias_shares(network: nn.Module, state: Mapping[str, Tensor] | None = None) -> dict[str, tuple[Tensor, Tensor]]:
    """The shares of any network's BatchNorm biases that are negative, and that are 0 or less.

    For torchvision's VGG-BN, whose weights are a file of tensors (loaded with `weights_only`, so that nothing in it can
    run)::

        network = torchvision.models.vgg11_bn()
        network.load_state_dict(torch.load("vgg11_bn-6002323d.pth", weights_only=True))
        for layer, (negative, nonpositive) in bias_shares(network).items():
            print(layer, negative.item(), nonpositive.item())

    Args:
        network: Any module with BatchNorm layers.
        state: Its weights as a stack ``[K, ...]``; by default those in the module, as a stack of one.

    Returns:
        ``(negative, nonpositive)`` as float64 ``[K]``, by the name of the BatchNorm layer; under ``""`` over all.

    Raises:
        ValueError: If the network has no BatchNorm layer with a bias.
    """
    if state is None:
        state = {name: value.detach()[None] for name, value in network.named_parameters()}
    biases = {
        name: state[f"{name}.bias" if name else "bias"].double()
        for name, layer in network.named_modules()
        if isinstance(layer, _LAYERS) and getattr(layer, "bias", None) is not None
    }
    if not biases:
        raise ValueError(
            "batchnorm_bias: this network has no BatchNorm layer with a bias, so there is no share to take"
        )
    everything = torch.cat(list(biases.values()), dim=1)
    return {name: _shares(bias) for name, bias in {"": everything, **biases}.items()}


def _shares(bias: Tensor) -> tuple[Tensor, Tensor]:
    return (bias < 0).double().mean(dim=1), (bias <= 0).double().mean(dim=1)
