"""The optimiser NAME against numbers found by hand."""

import torch

from gengap.cli.templates.optimizer import start, step
from gengap.studies.settings import Optimizer


def test_every_network_steps_with_its_own_rate():
    parameters = {"weight": torch.tensor([[1.0, 1.0], [1.0, 1.0]])}
    gradients = {"weight": torch.tensor([[3.0, -0.1], [0.0, 2.0]])}
    numbers = {"lr": torch.tensor([0.5, 0.25])}
    found, _ = step(parameters, gradients, start(parameters), numbers, Optimizer())
    assert found["weight"].tolist() == [[0.5, 1.5], [1.0, 0.75]]
