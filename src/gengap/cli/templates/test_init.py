"""The init NAME against its definition."""

import torch
from torch import nn

from gengap.cli.templates.init import initialise


def test_columns_are_orthonormal_and_biases_zero():
    layer = nn.Linear(3, 7).double()
    with torch.no_grad():
        initialise(nn.Sequential(layer), torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer.weight.T @ layer.weight, torch.eye(3, dtype=torch.float64))
    assert not layer.bias.any()
