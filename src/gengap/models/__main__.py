"""Facts of networks that are not built yet, for `gengap.studies.networks`: JSON in, JSON out.

On PyTorch's meta device a tensor has a shape and no memory, so a network of any width is built in a moment.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gengap import inits, losses, models
from gengap.errors import UserError
from gengap.studies.settings import Loss, Model

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)


def facts(model: Mapping[str, Any], loss: Mapping[str, Any], image_shape: list[int], n_classes: int) -> dict[str, Any]:
    """What is known of a network before it is built.

    Args:
        model: Settings.
        loss: Settings.
        image_shape: ``[channels, height, width]``.
        n_classes: Classes of the labels.

    Returns:
        ``parameters``; ``outputs``, numbers that its layers put out for one image; ``batchnorm``, the numbers of one
        image over which a BatchNorm layer averages at least, 0 without BatchNorm; ``layers``, its convolutions and
        linear layers; ``relus``, how many ReLUs are modules of their own; or ``error``, why it cannot be built.
    """
    channels, height, width = image_shape
    try:
        n_outputs = losses.n_outputs(Loss.model_validate(loss), n_classes)
        with torch.device("meta"):
            network = models.build(Model.model_validate(model), (channels, height, width), n_outputs)
        outputs, averaged = _passed(network, torch.empty(2, channels, height, width, device="meta"))
    except NotImplementedError:
        return {}  # the meta device lacks an operation: nothing is known, and nothing is wrong
    except UserError as error:
        return {"error": str(error)}
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split("\n")[0].split())
        return {
            "error": f"model: '{model['name']}' cannot be built for {channels} x {height} x {width} images: {said}."
        }
    parameters = sum(parameter.numel() for parameter in network.parameters())
    layers = len(inits.weight_layers(network))
    relus = sum(isinstance(layer, nn.ReLU) for layer in network.modules())
    return {"parameters": parameters, "outputs": outputs, "batchnorm": averaged, "layers": layers, "relus": relus}


def _passed(network: nn.Module, images: torch.Tensor) -> tuple[int, int]:
    """Numbers that layers put out for one image, and the fewest over which a BatchNorm layer averages, of one image."""
    outputs: list[int] = []
    averaged: list[int] = []

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        outputs.append(output[0].numel())
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            averaged.append(output[0, 0].numel())

    for layer in network.modules():
        if isinstance(layer, _LAYERS):
            layer.register_forward_hook(note)
    network(images)
    return sum(outputs), min(averaged, default=0)


def answer(asked: str) -> str:
    """Facts of each network of a list, both as JSON."""
    return json.dumps([facts(**one) for one in json.loads(asked)])


if __name__ == "__main__":
    sys.stdout.write(answer(sys.stdin.read()))
