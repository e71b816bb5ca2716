"""The probe NAME against numbers found by hand."""

import torch

from gengap.cli.templates.probe import largest


def test_it_is_the_largest_absolute_value_of_each_network():
    weight, bias = torch.tensor([[[1.0, -3.0]], [[0.5, 0.25]]]), torch.tensor([[2.0], [-4.0]])
    assert largest({"weight": weight, "bias": bias}).tolist() == [3.0, 4.0]
