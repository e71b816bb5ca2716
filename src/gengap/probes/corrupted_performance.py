"""Accuracy on corrupted test images: how much of it survives a shift of the data."""

import torch
from torch import Tensor

from gengap.engine import evaluation
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext
from gengap.probes.corruptions import SEVERITIES, corrupted

PART = {
    "summary": "Accuracy and loss on corrupted test images, nine of CIFAR-10-C's corruptions computed here.",
    "options": {
        "corruptions": {
            "type": "strs",
            "choices": (
                "gaussian_noise",
                "shot_noise",
                "impulse_noise",
                "speckle_noise",
                "gaussian_blur",
                "brightness",
                "contrast",
                "pixelate",
                "jpeg",
            ),
            "default": (
                "gaussian_noise",
                "shot_noise",
                "impulse_noise",
                "speckle_noise",
                "gaussian_blur",
                "brightness",
                "contrast",
                "pixelate",
                "jpeg",
            ),
            "meaning": "Which corruptions, in the order of the array; by default all that there are.",
        },
        "severity": {
            "type": "int",
            "default": None,
            "ge": 1,
            "le": 5,
            "meaning": "How severe, from 1 to 5; null: all five.",
        },
    },
    "quantities": {
        "corrupted_accuracy": {
            "label": "accuracy on corrupted test images",
            "unit": "%",
            "meaning": "Accuracy on the corrupted test set, mean over corruptions and severities.",
        },
        "corrupted_loss": {
            "label": "loss on corrupted test images",
            "meaning": "Mean loss on the corrupted test set, mean over corruptions and severities.",
        },
        "accuracy_by_corruption": {
            "label": "accuracy by corruption and severity",
            "unit": "%",
            "meaning": "Accuracy on the corrupted test set, of every corruption and severity.",
        },
    },
    "picture": {
        "quantity": "corrupted_accuracy",
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Evaluate every network on the test images after each corruption at each severity.

    The images are put back on the scale from 0 to 1, corrupted with the constants of CIFAR-10-C, rounded to 8 bits and
    standardised again. They are computed here, not read from the published files, and the noise in them is our own.
    Images without a range, such as Gaussian ones, are put on a scale from their smallest pixel to their largest.
    Where BatchNorm's mode is `batch`, the statistics are those of the corrupted images.

    Cost: one evaluation of the test set, and its corruption, per corruption and severity.

    Args:
        context: K networks and their data; see `ProbeContext`. `corruptions` and `severity` are read.

    Returns:
        ``corrupted_accuracy`` and ``corrupted_loss``, each ``[K]``, float64, and ``accuracy_by_corruption``
        ``[K, corruptions, severities]``.

    Source: Hendrycks and Dietterich (2019), arXiv:1903.12261, section 4, with the constants of their code for CIFAR.
    """
    names = context.options.corruptions
    severities = SEVERITIES if context.options.severity is None else (context.options.severity,)
    shift, scale = _range(context)
    pixels = ((context.test_images.double().cpu() - shift) / scale).clamp(0, 1).numpy()
    found: dict[str, list[Tensor]] = {"accuracy": [], "loss": []}
    for name in names:
        for severity in severities:
            images = torch.from_numpy(corrupted(pixels, name, severity)) * scale + shift
            outputs = evaluation.all_outputs(
                context.arch, context.state, images.to(context.test_images), context.batchnorm, BATCH_SIZE
            )
            performance = evaluation.performance(outputs, context.test_targets, context.loss)
            for quantity, values in found.items():
                values.append(performance[quantity])
    accuracy, loss = (torch.stack(values, dim=1) for values in found.values())
    return [
        Measurement("corrupted_accuracy", accuracy.mean(dim=1)),
        Measurement("corrupted_loss", loss.mean(dim=1)),
        Measurement(
            "accuracy_by_corruption",
            accuracy.unflatten(1, (len(names), len(severities))),
            dims=("corruption", "severity"),
        ),
    ]


def _range(context: ProbeContext) -> tuple[Tensor, Tensor]:
    """What a black pixel is, and how much more a white one, of each channel: ``[C, 1, 1]``."""
    images = context.test_images.double().cpu()
    if context.pixel_scale is not None:
        mean, std = (each.double().cpu()[:, None, None] for each in context.pixel_scale)
        pixels = images * std + mean
        if pixels.min() > -1e-3 and pixels.max() < 1 + 1e-3:
            return -mean / std, 1 / std
    smallest = images.min()
    return smallest.view(1, 1, 1), (images.max() - smallest).clamp(min=1e-12).view(1, 1, 1)
