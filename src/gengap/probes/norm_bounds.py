"""The capacity bounds of Jiang et al. (2020): norms of the layers, alone and divided by the margin."""

import torch
from torch import Tensor

from gengap import losses
from gengap.engine import evaluation
from gengap.engine.numerics.singular_values import singular_values
from gengap.engine.stack import n_networks, network_state
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext
from gengap.probes.margin import output_margins
from gengap.probes.norms import path_norm

PART = {
    "summary": "Capacity bounds from norms of the layers, alone and divided by the margin (Jiang 2020).",
    "batchnorm": ("running", "exact"),
    "uses": ("weight_norm", "distance_from_start", "spectral_norm_product", "path_norm", "margin_10th_percentile"),
    "quantities": {
        "inverse_margin": {
            "label": "inverse margin",
            "symbol": "1/(\\gamma\\sqrt{m})",
            "meaning": "1 / gamma, divided by the root of the number of samples; infinite where gamma is not above 0.",
            "rescaling_invariant": True,
        },
        "spectral_norm_sum": {
            "label": "geometric mean of spectral norms",
            "meaning": "Root of d (prod s_l^2)^(1/d) / m.",
            "rescaling_invariant": True,
        },
        "spectral_product_over_margin": {
            "label": "spectral norms over margin",
            "symbol": "\\prod_l s_l/(\\gamma\\sqrt{m})",
            "meaning": "Root of prod s_l^2 / (gamma^2 m).",
            "rescaling_invariant": True,
        },
        "operator_norm_product": {
            "label": "product of operator norms",
            "meaning": "As `spectral_norm_product`, of convolutions as operators on periodic images.",
            "rescaling_invariant": True,
        },
        "frobenius_norm_product": {
            "label": "product of Frobenius norms",
            "symbol": "\\prod_l\\|W_l\\|_F/\\sqrt{m}",
            "meaning": "Root of prod ||W_l||_F^2 / m.",
            "rescaling_invariant": True,
        },
        "frobenius_norm_sum": {
            "label": "geometric mean of Frobenius norms",
            "meaning": "Root of d (prod ||W_l||_F^2)^(1/d) / m.",
            "rescaling_invariant": True,
        },
        "frobenius_product_over_margin": {
            "label": "Frobenius norms over margin",
            "meaning": "Root of prod ||W_l||_F^2 / (gamma^2 m).",
            "rescaling_invariant": True,
        },
        "frobenius_over_spectral": {
            "label": "stable ranks per sample",
            "symbol": "\\sqrt{\\sum_l\\|W_l\\|_F^2/(s_l^2m)}",
            "meaning": "Root of sum ||W_l||_F^2 / s_l^2 / m.",
            "rescaling_invariant": True,
        },
        "spectral_bound_from_origin": {
            "label": "spectral bound from the origin",
            "meaning": "Root of prod s_l^2 sum (||W_l||_F^2 / s_l^2) / (gamma^2 m).",
            "rescaling_invariant": True,
        },
        "spectral_bound_from_start": {
            "label": "spectral bound from the start",
            "meaning": "Root of prod s_l^2 sum (||W_l - W_l0||_F^2 / s_l^2) / (gamma^2 m).",
            "rescaling_invariant": False,
        },
        "spectral_complexity": {
            "label": "spectral complexity",
            "meaning": "prod s_l (sum (||(W_l - W_l0)'||_{2,1} / s_l)^(2/3))^(3/2) / (gamma sqrt(m)).",
            "rescaling_invariant": False,
        },
        "spectral_distance": {
            "label": "spectral distance from the start",
            "symbol": "\\sqrt{\\sum_l\\|W_l-W_{l,0}\\|_2^2/m}",
            "meaning": "Root of sum ||W_l - W_l0||_2^2 / m.",
            "rescaling_invariant": False,
        },
        "path_norm_over_margin": {
            "label": "path norm over margin",
            "meaning": "The path norm divided by gamma and by the root of m.",
            "rescaling_invariant": True,
        },
    },
    "picture": {"quantity": "frobenius_over_spectral"},
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the norms that bound the capacity of a network, and the same divided by its margin.

    With W_l the weights of layer l as a matrix of outputs by inputs, W_l0 at the start, s_l its largest singular value,
    d the number of layers, m that of training samples, and gamma the 10th percentile of the output margins of all
    training samples (see `margin`). Biases and BatchNorm's parameters are left out, and BatchNorm is not multiplied
    into the weights. A measure that is divided by gamma is infinite where gamma is 0 or below, which is where more than
    a tenth of the samples is misclassified; the authors' public code takes the absolute value of gamma instead, so
    that a badly wrong
    network counts as a confident one.

    In `operator_norm_product` a convolution is the operator on images of the data's size, at stride 1, with
    periodic borders: its largest singular value is that of the kernel's Fourier transform at the worst frequency.

    All but `operator_norm_product` and what other probes declare are divided by the root of m, as in the source.

    Args:
        context: K networks and their data; see `ProbeContext`.

    Returns:
        The quantities of the table, each ``[K]``, float64.

    Cost: one forward pass of all training images, and the singular values of every layer.

    Source: Jiang et al. (2020), arXiv:1912.02178, appendix C.2 to C.4, measures 22 and 29 to 44, with the form of
    Dziugaite et al.
    (2020), arXiv:2010.11924; Bartlett et al. (2017), arXiv:1706.08498, equation 1.2; Pitas et al. (2018),
    arXiv:1801.00171; Sedghi et al. (2019), arXiv:1805.10408, theorem 6.
    """
    m = len(context.train_images)
    measured: dict[str, list[Tensor]] = {}
    margins = _margins(context)
    for place in range(n_networks(context.state)):
        for name, value in _of_one(context, place, margins[place], m).items():
            measured.setdefault(name, []).append(torch.as_tensor(value, dtype=torch.float64))
    return [Measurement(name, torch.stack(values).cpu()) for name, values in measured.items()]


def _of_one(context: ProbeContext, place: int, gamma: Tensor, m: int) -> dict[str, Tensor]:
    """All quantities of one network."""
    shape = tuple(context.train_images.shape[1:])
    state = network_state(context.state, place)
    weights = [state[f"{layer}.weight"].double() for layer in context.arch.layers]
    moved = [
        weight - context.start[f"{layer}.weight"][place].double()
        for layer, weight in zip(context.arch.layers, weights, strict=True)
    ]
    spectral, frobenius = torch.stack([spectral_norm(w) for w in weights]), torch.stack([w.norm() for w in weights])
    distance = torch.stack([w.norm() for w in moved])
    spectral_distance = torch.stack([spectral_norm(w) for w in moved])
    columns = torch.stack([w.flatten(1).norm(dim=1).sum() for w in moved])  # ||A'||_{2,1}: norms of the rows of A
    # A margin of 0 or below bounds nothing.
    inverse = torch.where(gamma > 0, 1 / gamma, torch.inf)
    d, root = len(weights), m**0.5
    product, frobenius_product = spectral.prod(), frobenius.prod()
    path = path_norm(context.arch.evaluation, state, shape)
    own = [context.state[name][place].double() for name in context.arch.parameters]
    start = [context.start[name][place].double() for name in context.arch.parameters]
    return {
        "weight_norm": torch.stack([w.norm() for w in own]).norm(),
        "distance_from_start": torch.stack([(w - v).norm() for w, v in zip(own, start, strict=True)]).norm(),
        "spectral_norm_product": product,
        "path_norm": path,
        "margin_10th_percentile": gamma,
        "inverse_margin": inverse / root,
        "spectral_norm_sum": (d * product ** (2 / d)).sqrt() / root,
        "spectral_product_over_margin": product * inverse / root,
        "operator_norm_product": torch.stack([operator_norm(w, (shape[1], shape[2])) for w in weights]).prod(),
        "frobenius_norm_product": frobenius_product / root,
        "frobenius_norm_sum": (d * frobenius_product ** (2 / d)).sqrt() / root,
        "frobenius_product_over_margin": frobenius_product * inverse / root,
        "frobenius_over_spectral": (frobenius / spectral).norm() / root,
        "spectral_bound_from_origin": product * (frobenius / spectral).norm() * inverse / root,
        "spectral_bound_from_start": product * (distance / spectral).norm() * inverse / root,
        "spectral_complexity": product * ((columns / spectral) ** (2 / 3)).sum() ** 1.5 * inverse / root,
        "spectral_distance": spectral_distance.norm() / root,
        "path_norm_over_margin": path * inverse / root,
    }


def spectral_norm(weight: Tensor) -> Tensor:
    """Largest singular value of a layer's weights as a matrix of outputs by inputs."""
    return singular_values(weight.flatten(1), floor=torch.inf)[0]


def operator_norm(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Largest singular value of a layer as an operator; of a convolution, on images with periodic borders.

    Args:
        weight: ``[out, in]`` or ``[out, in, k, k]``, float64.
        size: Height and width of the images.
    """
    if weight.dim() == 2:
        return spectral_norm(weight)
    grid = [max(pixels, kernel) for pixels, kernel in zip(size, weight.shape[2:], strict=True)]
    frequencies = torch.fft.fft2(weight, s=grid).movedim((2, 3), (0, 1))
    largest: Tensor = torch.linalg.matrix_norm(frequencies, ord=2).max()
    return largest


def _margins(context: ProbeContext) -> Tensor:
    """A tenth of the training samples has a smaller margin: ``[K]``, float64."""
    outputs = evaluation.all_outputs(
        context.arch, context.state, context.train_images, context.batchnorm, BATCH_SIZE
    ).double()
    classes = losses.classes(context.train_targets)
    return torch.stack([output_margins(one, classes).quantile(0.1, interpolation="lower") for one in outputs])
