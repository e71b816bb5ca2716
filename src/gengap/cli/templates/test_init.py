"""The init NAME against its definition."""

import torch
from torch import nn

from gengap.cli.templates.init import initialise
from gengap.studies.settings import Init


def test_columns_are_orthogonal_with_the_norm_of_the_gain_and_biases_zero():
    settings = Init.model_validate({"name": "NAME", "gain": 2.0})
    layer = nn.Linear(3, 7).double()
    with torch.no_grad():
        initialise(nn.Sequential(layer), settings, torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer.weight.T @ layer.weight, 4 * torch.eye(3, dtype=torch.float64))
    assert not layer.bias.any()
