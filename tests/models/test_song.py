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
