"""What belongs to a layer, and in which order the layers run: found by running the network once without numbers."""

import copy

import torch
from torch import Tensor, nn

from gengap.engine.stack import Architecture

Parts = dict[str, tuple[str, ...]]


def layer_parts(arch: Architecture, image_shape: tuple[int, ...]) -> Parts:
    """The parameters and buffers that make up each layer, layers in the order in which they run.

    A layer is a convolution or a linear layer with its bias, together with the BatchNorm that normalises its output.
    A BatchNorm that normalises something else, such as a sum of two branches, goes with the layer that ran last
    before it, or with the first layer if none did; so does any other module with parameters. Every tensor of the
    network therefore belongs to exactly one layer.

    Args:
        arch: The architecture; its modules are on the meta device, so nothing is computed.
        image_shape: ``(channels, height, width)`` of one image.

    Returns:
        By layer the names of its tensors in a state: weight and bias, then BatchNorm's scale, shift and statistics.
    """
    network = copy.deepcopy(arch.evaluation)
    made: dict[int, tuple[str, Tensor]] = {}  # keeps the outputs alive, or another tensor could get the same id
    order: list[str] = []
    owners: dict[str, str] = {}

    def ran(name: str, output: Tensor) -> None:
        made[id(output)] = name, output
        order.append(name)

    def belongs(name: str, given: Tensor) -> None:
        owners[name] = made[id(given)][0] if id(given) in made else order[-1] if order else ""

    for name, module in network.named_modules():
        if name in arch.layers:
            module.register_forward_hook(lambda _, __, output, name=name: ran(name, output))
        elif _own_tensors(name, module):
            module.register_forward_pre_hook(lambda _, inputs, name=name: belongs(name, inputs[0]))
    with torch.no_grad():
        network(torch.zeros(2, *image_shape, device="meta"))
    parts = {name: _own_tensors(name, network.get_submodule(name)) for name in order}
    for name, layer in owners.items():
        parts[layer or order[0]] += _own_tensors(name, network.get_submodule(name))
    return parts


def _own_tensors(name: str, module: nn.Module) -> tuple[str, ...]:
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return tuple(f"{name}.{key}" if name else key for key, _ in own)
