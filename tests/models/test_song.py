"""Song's printed parameter counts, and the plain layer list they imply."""

import pytest
import torch

from gengap import models
from gengap.studies.settings import Model


@pytest.mark.parametrize(
    ("width", "head", "size", "count"),
    [(4, "hidden", 8, 721), (64, "hidden", 8, 134_401), (3, "linear", 32, 589), (48, "linear", 32, 69_889)],
)
def test_parameter_counts_are_those_printed(width, head, size, count):
    network = models.build(Model(width=width, head=head), (3, size, size), 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_output_has_one_row_per_image():
    network = models.build(Model(width=5), (1, 10, 10), 7)
    assert network(torch.zeros(3, 1, 10, 10)).shape == (3, 7)


@pytest.mark.parametrize("downsample", ["both", "first", "second", "pool"])
@pytest.mark.parametrize("size", [8, 10])
def test_wherever_the_image_is_halved_the_count_is_the_same(downsample, size):
    settings = Model.model_validate({"name": "song", "width": 4, "downsample": downsample})
    network = models.build(settings, (3, size, size), 1)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == sum(parameter.numel() for parameter in models.build(Model(), (3, size, size), 1).parameters())
    maps = {}
    for name in ("block1", "block2"):
        network.get_submodule(name).register_forward_hook(lambda _, __, y, name=name: maps.update({name: y.shape[-1]}))
    assert network(torch.zeros(2, 3, size, size)).shape == (2, 1)
    first, second = {"both": (2, 2), "first": (2, 1), "second": (1, 2), "pool": (1, 1)}[downsample]
    assert maps == {"block1": -(-size // first), "block2": -(-size // (first * second))}
