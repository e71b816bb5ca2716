"""The network for evaluation gives the outputs of evaluation mode, whatever the model."""

import pytest
import torch
from torch import nn

from gengap import models
from gengap.engine import stack
from gengap.engine.evaluation.inference import inference
from gengap.engine.layers import batchnorm
from gengap.engine.layers.convolution_matrix import MatrixConv
from gengap.registry import REGISTRY
from gengap.studies.settings import Model

IMAGE = (3, 32, 32)


def randomised(network, count=2):
    """A stack of float64 states in which every tensor is random, BatchNorm's statistics included."""
    generator = torch.Generator().manual_seed(0)
    arch = stack.architecture(network)
    shapes = {name: value.shape for name, value in arch.evaluation.state_dict().items()}
    state = {n: torch.randn(count, *s, generator=generator, dtype=torch.float64) * 0.5 for n, s in shapes.items()}
    return arch, {n: v.square() + 0.1 if n.endswith("running_var") else v for n, v in state.items()}


def both(network, image_shape=IMAGE):
    arch, state = randomised(network)
    images = torch.randn(5, *image_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made = inference(arch, image_shape)
    return stack.outputs(made.network, made.fold(state), images), stack.outputs(arch.evaluation, state, images), made


@pytest.mark.parametrize("name", REGISTRY["model"])
def test_every_model_has_the_outputs_of_evaluation_mode(name):
    found, expected, _ = both(models.build(Model(name=name, width=6), IMAGE, 3))
    assert torch.isfinite(expected).all()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())


def test_song_at_width_4_keeps_no_batchnorm_and_one_layer_of_convolutions():
    network = models.build(Model(width=4), (3, 8, 8), 1)
    found, expected, made = both(network, (3, 8, 8))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    kinds = [type(layer) for layer in made.network.modules()]
    assert batchnorm.FunctionalBatchNorm not in kinds
    assert kinds.count(MatrixConv) == 4
    assert kinds.count(nn.Conv2d) == 2
    assert made.largest_map == 64


class TwoReaders(nn.Module):
    """A convolution that a BatchNorm and a sum read: the BatchNorm must stay."""

    def __init__(self, dilation=1, stride=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6, affine=False)
        self.relu = nn.ReLU()
        self.second = nn.Conv2d(6, 4, 2, stride=stride, padding=(1, 0), dilation=dilation, groups=groups)

    def forward(self, x):
        y = self.conv(x)
        z = self.norm(y)
        return self.second(self.relu(z) + y + z)


@pytest.mark.parametrize("options", [{}, {"dilation": 2}, {"stride": 2}, {"groups": 2}])
def test_a_batchnorm_or_relu_whose_input_is_read_elsewhere_stays(options):
    network = TwoReaders(**options)
    for module in list(network.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.weight = nn.Parameter(torch.ones(6))  # `convert` asks it for the device
    found, expected, made = both(network, (3, 3, 3))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert any(isinstance(layer, batchnorm.FunctionalBatchNorm) for layer in made.network.modules())
    assert any(isinstance(layer, MatrixConv) for layer in made.network.modules())


class Branching(nn.Module):
    """Its forward pass depends on its numbers, so it cannot be traced."""

    def __init__(self):
        super().__init__()
        self.wide, self.linear = nn.Linear(12, 100), nn.Linear(100, 2)

    def forward(self, x):
        y = self.linear(self.wide(x.flatten(1)))
        return y if x.sum() > 0 else -y


def test_a_network_that_cannot_be_traced_runs_as_it_is_and_has_its_largest_map():
    arch = stack.architecture(Branching())
    made = inference(arch, (3, 2, 2))
    assert made.network is arch.evaluation
    assert made.largest_map == 100


def test_the_architecture_stays_as_it_was():
    arch, _ = randomised(models.build(Model(width=4), (3, 8, 8), 1))
    names = [name for name, _ in arch.evaluation.named_modules()]
    inference(arch, (3, 8, 8))
    assert [name for name, _ in arch.evaluation.named_modules()] == names
    assert not any(getattr(layer, "inplace", False) for layer in arch.evaluation.modules())
