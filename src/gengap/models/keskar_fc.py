"""The fully connected networks of Keskar et al. (2017), table 1: an `mlp` with BatchNorm before every ReLU.

F1 has 5 hidden layers of 512 units and 1,462,794 parameters for MNIST; F2 has 7.
"""

from torch import nn

from gengap.models import mlp
from gengap.models.parts import normalised
from gengap.studies.settings import Model

PART = {
    "summary": "An mlp with BatchNorm before every ReLU; F1 at width 512, F2 at depth 7 as well (Keskar 2017).",
    "reads": ("depth", "norm", "group_size"),
    "depth": 5,
}

DEPTH = 5  # where the study says nothing


def build(settings: Model, image_shape: tuple[int, int, int], n_outputs: int) -> nn.Module:
    """Build the network; see `gengap.models.build`. `depth` counts the hidden layers."""
    deep = normalised(settings).model_copy(update={"name": "mlp", "depth": settings.depth or DEPTH})
    return mlp.build(deep, image_shape, n_outputs)
