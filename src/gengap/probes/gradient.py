"""Gradient of the training loss: its norm, the norm in every layer, and how unequal the layers are."""

import torch

from gengap.probes.context import Measurement, ProbeContext

PART = {
    "summary": "Gradient norm of the training loss, whole and by layer, and its max/min ratio.",
    "reads": ("samples",),
    "quantities": {
        "gradient_norm": {
            "label": "gradient norm",
            "symbol": "\\|\\nabla L\\|_2",
            "meaning": "Euclidean norm of the gradient of the mean training loss over all parameters.",
            "rescaling_invariant": False,
        },
        "layer_gradient_norm": {
            "label": "layer gradient norm",
            "symbol": "g_l",
            "meaning": ("Frobenius norm of the gradient with respect to one layer's weight tensor; biases excluded."),
        },
        "relative_layer_gradient_norm": {
            "label": "relative layer gradient norm",
            "symbol": "g_l/\\|W_l\\|",
            "meaning": "Layer gradient norm divided by the norm of that layer's weights.",
        },
        "rms_layer_gradient": {
            "label": "root mean square layer gradient",
            "symbol": "g_l/\\sqrt{n_l}",
            "meaning": "Layer gradient norm divided by the square root of the layer's number of weights.",
        },
        "gradient_ratio": {
            "label": "largest / smallest layer gradient norm",
            "symbol": "\\max_l g_l / \\min_l g_l",
            "meaning": "Ratio of the largest to the smallest layer gradient norm.",
        },
    },
    "picture": {
        "quantity": "gradient_norm",
        "scale": "log",
        "settings": {"batchnorm": "batch"},
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the gradient g of the mean training loss.

    For layer l with weight tensor W_l of n_l entries, ``g_l = ||dL/dW_l||_F``; the ratio is ``max_l g_l / min_l g_l``.
    Layers are convolutions and linear layers; biases are excluded, since those in front of a BatchNorm have gradient 0.

    In BatchNorm mode ``batch`` the gradient flows through the statistics of each run of 1,000 samples, as it does in
    training; in the modes ``running`` and ``exact`` the statistics are constants.

    Cost: the gradients of one epoch, or of `samples` images.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` limits the training images of the
        loss.

    Returns:
        ``gradient_norm`` over all parameters; ``gradient_ratio``; by layer ``layer_gradient_norm``,
        ``relative_layer_gradient_norm`` (g_l / ||W_l||) and ``rms_layer_gradient`` (g_l / sqrt(n_l)); each ``[K]``,
        float64. A dead layer gives g_l = 0 and the ratio infinity; if every layer is dead, not a number.

    Source: Song (2019), figures 3.2, 4.3 to 4.5.
    """
    gradient = context.objective().gradient()
    squares = torch.stack([value.flatten(1).square().sum(dim=1) for value in gradient.values()])
    measured = [Measurement("gradient_norm", squares.sum(dim=0).sqrt())]
    norms = []
    for layer in context.arch.layers:
        weight = context.state[f"{layer}.weight"].double().flatten(1)
        norm = gradient[f"{layer}.weight"].flatten(1).norm(dim=1)
        norms.append(norm)
        measured += [
            Measurement("layer_gradient_norm", norm, layer),
            Measurement("relative_layer_gradient_norm", norm / weight.norm(dim=1), layer),
            Measurement("rms_layer_gradient", norm / weight.shape[1] ** 0.5, layer),
        ]
    by_layer = torch.stack(norms)
    return [*measured, Measurement("gradient_ratio", by_layer.amax(dim=0) / by_layer.amin(dim=0))]
