"""The signs of BatchNorm's biases in torchvision's own VGG networks, from the file of their weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision import models

from gengap.errors import UserError
from gengap.files import torch_file
from gengap.studies.config import data_root
from gengap.studies.simulation import Point

PART = {
    "summary": "Share of negative BatchNorm biases of torchvision's VGG networks (Luck Matters, figure 16).",
    "options": {
        "weights": {
            "choices": ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
            "default": "vgg11_bn",
            "meaning": "Network of torchvision, trained on ImageNet; its file has to be in the data root.",
        },
    },
    "uses": ("negative_bias_share", "nonpositive_bias_share"),
}

_FOLDER = "torchvision"  # of the data root
_OF_BATCHNORM = (".running_mean", ".bias")


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, dict[str, Tensor]]:
    """Count the BatchNorm biases below 0, and those that are 0 or below, as the probe `batchnorm_bias` does.

    The file is compared with the digest in its name, and its tensors are read without unpickling it. Layers are named
    by their convolution, ``conv1_bn`` first, as those of the model `vgg`.

    Args:
        point: Which network.
        seeds: One: there is one network, and nothing in it is random.
        device: Plays no part.

    Returns:
        Float64 ``[1]`` by layer, and (layer empty) over all, each bias counting once.

    Raises:
        UserError: If the file is missing, damaged or another one, or if more than one draw is asked for.

    Source: Tian et al. (2019), Luck Matters, figure 16; weights by torchvision.
    """
    del device
    if len(point.seeds) > 1:
        raise UserError(f"seed: '{point.weights}' is one network, so {len(point.seeds)} draws are the same. Write [0].")
    ((name, address),) = raw_files(point)
    path = data_root() / name
    if not path.exists():
        raise UserError(f"{path}: is missing. Get it from {address}.")
    torch_file.check_name(path)
    tensors = torch_file.read_tensors(path, lambda tensor: tensor.endswith(_OF_BATCHNORM))
    layers = [tensor.removesuffix(_OF_BATCHNORM[0]) for tensor in tensors if tensor.endswith(_OF_BATCHNORM[0])]
    biases = {f"conv{place}_bn": tensors[f"{layer}.bias"] for place, layer in enumerate(layers, start=1)}
    biases = {"": np.concatenate(list(biases.values())), **biases}
    return {
        "negative_bias_share": {layer: _share(bias < 0) for layer, bias in biases.items()},
        "nonpositive_bias_share": {layer: _share(bias <= 0) for layer, bias in biases.items()},
    }


def numbers_per_draw(point: Point) -> int:
    """None to speak of."""
    del point
    return 1


def raw_files(point: Point) -> list[tuple[str, str]]:
    """The file that a point needs: its path in the data root, and where torchvision has it."""
    address: str = models.get_model_weights(point.weights).IMAGENET1K_V1.url
    return [(f"{_FOLDER}/{address.rpartition('/')[2]}", address)]


def _share(chosen: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Tensor:
    return torch.tensor([chosen.mean()], dtype=torch.float64)
