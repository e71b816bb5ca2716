"""Margins: how clearly, and how far from the decision boundary, the training samples are classified."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gengap import losses
from gengap.engine.stack import State, network_state
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Output margins, and first-order distances to the decision boundary.",
    "reads": ("samples",),
    "batchnorm": ("running", "exact"),
    "quantities": {
        "margin_mean": {
            "label": "mean margin",
            "symbol": "\\langle m\\rangle",
            "meaning": "Mean over training samples of the output margin.",
            "rescaling_invariant": True,
        },
        "margin_median": {
            "label": "median margin",
            "meaning": "Median over training samples of the output margin.",
            "rescaling_invariant": True,
        },
        "margin_10th_percentile": {
            "label": "10th percentile of the margins",
            "meaning": "A tenth of the training samples has a smaller output margin.",
            "rescaling_invariant": True,
        },
        "margin_smallest": {
            "label": "smallest margin",
            "symbol": "\\min m",
            "meaning": "Smallest output margin of a training sample; negative if one is misclassified.",
            "rescaling_invariant": True,
        },
        "normalized_margin_median": {
            "label": "median normalized margin",
            "meaning": (
                "Median over training samples of the distance to the decision boundary to first order "
                "divided by the spread of the images."
            ),
            "rescaling_invariant": True,
        },
        "normalized_margin_10th_percentile": {
            "label": "10th percentile of the normalized margins",
            "meaning": "A tenth of the training samples has a smaller normalized margin.",
            "rescaling_invariant": True,
        },
    },
    "picture": {
        "quantity": "margin_median",
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure the output margins of training samples, and their distances to the decision boundary.

    The output margin of a sample x of class y is ``m = f_y(x) - max_{j != y} f_j(x)``, with one output ``y f(x)`` for
    y = -1, +1; it is negative where the sample is misclassified. It grows with the scale of the weights. The normalized
    margin does not: ``m / ||grad_x m||_2``, the distance to the boundary to first order (exact for a linear network),
    divided by ``sqrt(mean ||x - mean x||^2)``, the spread of the images.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` training images are read.

    Returns:
        ``margin_mean``, ``margin_median``, ``margin_10th_percentile``, ``margin_smallest`` of the output margins;
        ``normalized_margin_median``, ``normalized_margin_10th_percentile``; each ``[K]``, float64. A percentile
        between two samples is the lower one. Where all hidden units of a layer are off, the output is flat and the
        normalized margin of that sample infinite, with the sign of m, or not a number for m = 0: so are all of them
        in a dead network.

    Cost: every image forward and backward once, in float64, one network at a time.

    Source: Bartlett et al. (2017), arXiv:1706.08498, section 1; Jiang et al. (2019), arXiv:1810.00113, section 3, at
    the input; Elsayed et al. (2018), arXiv:1803.05598, for the first-order distance.
    """
    images, targets = context.probe_images()
    spread = _spread(images.double())
    measured: dict[str, list[Tensor]] = {}
    for place in range(len(context.cells)):
        state = {name: value.double() for name, value in network_state(context.state, place).items()}
        margins, slopes = margins_and_slopes(context.network, state, images, losses.classes(targets))
        measured.setdefault("margin_mean", []).append(margins.mean())
        for prefix, values in (("margin", margins), ("normalized_margin", margins / slopes / spread)):
            for name, share in (("median", 0.5), ("10th_percentile", 0.1)):
                # No interpolation: the mean of an infinite neighbour and a finite one says nothing.
                measured.setdefault(f"{prefix}_{name}", []).append(values.quantile(share, interpolation="lower"))
        measured.setdefault("margin_smallest", []).append(margins.min())
    return [Measurement(quantity, torch.stack(values)) for quantity, values in measured.items()]


def margins_and_slopes(network: nn.Module, state: State, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Output margins of ONE network, and the norms of their gradients with respect to the image.

    Args:
        network: A module whose output for a sample depends only on that sample.
        state: The state of one network, float64.
        images: ``[N, C, H, W]``.
        classes: ``[N]``; for a single output positive or not.

    Returns:
        Both ``[N]``, float64.
    """
    margins, slopes = [], []
    for batch, labels in zip(images.split(BATCH_SIZE), classes.split(BATCH_SIZE), strict=True):
        x = batch.double().requires_grad_()
        margin = output_margins(functional_call(network, state, (x,)), labels)
        # Samples do not touch each other, so the gradient of the sum holds each one's own.
        (gradient,) = torch.autograd.grad(margin.sum(), x)
        margins.append(margin.detach())
        slopes.append(gradient.flatten(1).norm(dim=1))
    return torch.cat(margins), torch.cat(slopes)


def output_margins(outputs: Tensor, classes: Tensor) -> Tensor:
    """The output margin of every sample ``[N]``, of outputs ``[N, n_outputs]``; negative where it is misclassified."""
    if outputs.shape[1] == 1:
        return torch.where(classes > 0, outputs[:, 0], -outputs[:, 0])
    own = classes[:, None].long()
    others = outputs.scatter(1, own, -torch.inf).amax(dim=1)
    return outputs.gather(1, own)[:, 0] - others


def _spread(images: Tensor) -> Tensor:
    flat = images.flatten(1)
    return (flat - flat.mean(dim=0)).square().sum(dim=1).mean().sqrt()
