"""The loss NAME against numbers found by hand."""

import torch

from gengap.cli.templates.loss import correct, sample_losses
from gengap.studies.settings import Loss


def test_losses_and_correct_samples():
    outputs, targets = torch.tensor([[0.5], [2.0], [-1.0]]), torch.tensor([1.0, 1.0, 1.0])
    assert sample_losses(outputs, targets, Loss()).tolist() == [0.5, 1.0, 2.0]
    assert correct(outputs, targets).tolist() == [True, True, False]
