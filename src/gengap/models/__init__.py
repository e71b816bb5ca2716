"""Networks, each an ordinary `nn.Module`; a new one is one file with a header and `build`."""

from torch import nn

from gengap import registry
from gengap.studies.settings import Model


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network of a study, with PyTorch's own initial weights.

    Args:
        settings: The `model` section of a cell.
        image_shape: ``(channels, height, width)`` of one image.
        n_outputs: Length of the output: 1 for two classes with a margin loss, else the number of classes.

    Returns:
        A module that maps ``[N, C, H, W]`` to ``[N, n_outputs]``.
    """
    module = registry.load("model", settings.name)
    network: nn.Module = module.build(settings, image_shape, n_outputs)
    return network
