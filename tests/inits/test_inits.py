"""Each rule's variance in closed form, and that the generator alone decides."""

import math

import pytest
import torch
from torch import nn

from gengap import inits
from gengap.studies.packing import shape_key
from gengap.studies.settings import Cell, Init

FAN_IN, FAN_OUT = 20 * 9, 50 * 9
WEIGHT_STD = {
    "he": math.sqrt(2 / FAN_IN),
    "xavier": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "normal": 1.0,
    "default": 1 / math.sqrt(3 * FAN_IN),
}


def initialised(name, seed=0, **options):
    network = nn.Sequential(nn.Conv2d(20, 50, 3), nn.BatchNorm2d(50))
    inits.initialise(network, Init(name=name, **options), torch.Generator().manual_seed(seed))
    return network


@pytest.mark.parametrize("name", WEIGHT_STD)
def test_weights_have_the_rules_standard_deviation(name):
    weight = initialised(name)[0].weight
    standard_error = WEIGHT_STD[name] / math.sqrt(2 * weight.numel())
    assert weight.std().item() == pytest.approx(WEIGHT_STD[name], abs=5 * standard_error)
    assert weight.mean().item() == pytest.approx(0, abs=5 * WEIGHT_STD[name] / math.sqrt(weight.numel()))


@pytest.mark.parametrize(
    ("name", "options", "std"),
    [
        ("he", {"mode": "fan_out"}, math.sqrt(2 / FAN_OUT)),
        ("xavier", {"gain": 3.0}, 3 * WEIGHT_STD["xavier"]),
        ("normal", {"std": 0.02}, 0.02),
    ],
)
def test_an_option_changes_the_standard_deviation_and_not_the_draws(name, options, std):
    plain, changed = initialised(name)[0].weight, initialised(name, **options)[0].weight
    torch.testing.assert_close(changed, plain * (std / WEIGHT_STD[name]))


def test_options_are_part_of_a_cells_identity_but_not_of_its_packs():
    plain, default, wide = (Cell(init=Init(name="normal", **options)) for options in ({}, {"std": 1.0}, {"std": 2.0}))
    assert default.identity() == plain.identity()
    assert wide.identity() == plain.identity() | {"init.std": 2.0}
    assert shape_key(wide) == shape_key(plain)


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
