"""Facts of networks and simulations that are not run yet, for `gengap.studies.networks`: JSON in, JSON out.

On PyTorch's meta device a tensor has a shape and no memory, so a network of any width is built in a moment.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from gengap import inits, losses, models, registry
from gengap.errors import UserError
from gengap.studies.settings import Labels, Loss, Model
from gengap.studies.simulation import Point
from gengap.studies.sizes import Sizes

_OF_TEACHERS = {"name": "labels.teacher_model", "batchnorm": "labels.teacher_norm"}
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)


def _built(build: Callable[[], dict[str, Any]], name: str, image_shape: Sequence[int]) -> dict[str, Any]:
    """What building a network tells of it, or ``error``, why it cannot be built."""
    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:
        return {}  # the meta device lacks an operation: nothing is known, and nothing is wrong
    except UserError as error:
        return {"error": str(error)}
    except Exception as error:  # a user's own network may fail in any way
        return {"error": f"{name} cannot be built for {' x '.join(map(str, image_shape))} images: {_said(error)}."}


def _said(error: Exception) -> str:
    """The first line of an error, with its kind where the line alone would not be understood."""
    line = " ".join(str(error).split("\n")[0].split()).rstrip(".")
    plain = isinstance(error, (ArithmeticError, RuntimeError, TypeError, ValueError)) and line
    return line if plain else f"{type(error).__name__}{f': {line}' if line else ''}"


def teacher_facts(labels: Mapping[str, Any], image_shape: list[int]) -> dict[str, Any]:
    """What is known of the network of a label rule before it is built.

    Args:
        labels: Settings.
        image_shape: ``[channels, height, width]``.

    Returns:
        ``parameters``, or ``error``, why it cannot be built; nothing of a rule without `teacher_network`.
    """

    def build() -> dict[str, Any]:
        rule = registry.load("labels", labels["name"])
        if not hasattr(rule, "teacher_network"):
            return {}
        network: nn.Module = rule.teacher_network(Labels.model_validate(labels), tuple(image_shape))
        _passed(network, torch.empty(2, *image_shape))
        return {"parameters": _parameters(network)}

    known = _built(build, f"labels: '{labels['name']}'", image_shape)
    if "error" in known:  # its settings are those of labels
        known["error"] = re.sub(
            r"\bmodel\.(\w+)", lambda found: _OF_TEACHERS.get(found[1], f"labels.teacher_{found[1]}"), known["error"]
        )
    return known


def draw_facts(point: Mapping[str, Any], data: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is known of a simulation's draws before any is made.

    Args:
        point: Settings of a point of its grid.
        data: Fields of `Sizes`, of the dataset that its images are from.

    Returns:
        ``parameters``, how many numbers one draw holds, and ``raw_files``, what it reads that is not downloaded; or
        ``error``, why there can be none.
    """
    settings = Point.model_validate(point)
    try:
        module = registry.load("simulation", point["simulation"])
        if hasattr(module, "check"):
            sizes: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in (data or {}).items()
            }
            module.check(settings, Sizes(**sizes) if sizes else None)
        raw_files = module.raw_files(settings) if hasattr(module, "raw_files") else []
        return {"parameters": module.numbers_per_draw(settings), "raw_files": raw_files}
    except UserError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"simulation: '{point['simulation']}' cannot be drawn: {_said(error)}."}


def facts(model: Mapping[str, Any], loss: Mapping[str, Any], image_shape: list[int], n_classes: int) -> dict[str, Any]:
    """What is known of a network before it is built.

    Args:
        model: Settings.
        loss: Settings.
        image_shape: ``[channels, height, width]``.
        n_classes: Classes of the labels.

    Returns:
        ``parameters``; ``outputs``, numbers that its layers put out for one image; ``batchnorm``, the numbers of one
        image over which a BatchNorm layer averages at least, 0 without BatchNorm; ``layers``, the weights of each
        convolution and linear layer, without biases; ``relus``, how many ReLUs are modules of their own; or ``error``,
        why it cannot be built.
    """
    channels, height, width = image_shape

    def build() -> dict[str, Any]:
        try:
            n_outputs = losses.n_outputs(Loss.model_validate(loss), n_classes)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"loss: '{loss['name']}' gives no number of outputs: {_said(error)}.") from error
        network = models.build(Model.model_validate(model), (channels, height, width), n_outputs)
        outputs, averaged = _passed(network, torch.empty(2, channels, height, width))
        layers = [layer.weight.numel() for _, layer in inits.weight_layers(network)]
        relus = sum(isinstance(layer, nn.ReLU) for layer in network.modules())
        return {
            "parameters": _parameters(network),
            "outputs": outputs,
            "batchnorm": averaged,
            "layers": layers,
            "relus": relus,
        }

    return _built(build, f"model: '{model['name']}'", image_shape)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


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
    """Facts of each network or draw of a list, both as JSON."""
    return json.dumps([_facts(one) for one in json.loads(asked)])


def _facts(asked: Mapping[str, Any]) -> dict[str, Any]:
    if "point" in asked:
        return draw_facts(**asked)
    return teacher_facts(**asked) if "labels" in asked else facts(**asked)


if __name__ == "__main__":
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a user's own part prints is not an answer
    said.write(answer(sys.stdin.read()))
    said.close()
