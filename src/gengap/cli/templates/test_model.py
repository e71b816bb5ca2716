"""The model NAME: its number of parameters by hand."""

import torch

from gengap.cli.templates.model import build
from gengap.studies.settings import Model


def test_parameters_and_outputs():
    network = build(Model(width=3), (1, 2, 2), 5)
    assert sum(parameter.numel() for parameter in network.parameters()) == (4 * 3 + 3) + (3 * 5 + 5)
    assert network(torch.zeros(7, 1, 2, 2)).shape == (7, 5)
