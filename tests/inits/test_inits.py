"""Each rule's variance in closed form, and that the generator alone decides."""

import math

import pytest
import torch
from torch import nn

from gengap import inits

FAN_IN, FAN_OUT = 20 * 9, 50 * 9
WEIGHT_STD = {
    "he": math.sqrt(2 / FAN_IN),
    "xavier": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "normal": 1.0,
    "default": 1 / math.sqrt(3 * FAN_IN),
}


def initialised(name, seed=0):
    network = nn.Sequential(nn.Conv2d(20, 50, 3), nn.BatchNorm2d(50))
    inits.initialise(network, name, torch.Generator().manual_seed(seed))
    return network


@pytest.mark.parametrize("name", WEIGHT_STD)
def test_weights_have_the_rules_standard_deviation(name):
    weight = initialised(name)[0].weight
    standard_error = WEIGHT_STD[name] / math.sqrt(2 * weight.numel())
    assert weight.std().item() == pytest.approx(WEIGHT_STD[name], abs=5 * standard_error)
    assert weight.mean().item() == pytest.approx(0, abs=5 * WEIGHT_STD[name] / math.sqrt(weight.numel()))


@pytest.mark.parametrize("name", ["he", "xavier"])
def test_biases_are_zero_and_batchnorm_is_the_identity(name):
    conv, bn = initialised(name)
    assert not conv.bias.any()
    assert (bn.weight == 1).all()
    assert not bn.bias.any()


def test_normal_draws_every_parameter():
    conv, bn = initialised("normal")
    assert min(conv.bias.std(), bn.weight.std(), bn.bias.std()) > 0.5


@pytest.mark.parametrize("name", WEIGHT_STD)
def test_the_generator_decides(name):
    same, other = initialised(name), initialised(name, seed=1)
    torch.manual_seed(123)
    again = initialised(name)
    assert torch.equal(same[0].weight, again[0].weight)
    assert not torch.equal(same[0].weight, other[0].weight)
