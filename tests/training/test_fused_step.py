"""A training step by the kernels against the stacked one, over what a step is made of."""

import math

import pytest
import torch
from step_arguments import CASES, CPU, SHAPE, prepared
from torch import nn
from torch.utils import _pytree as pytree

from gengap.engine import stack
from gengap.engine.cpu import operators
from gengap.studies.settings import Cell
from gengap.training import fused_step, step_choice
from gengap.training.fused_step import fuses, make_fused_step
from gengap.training.joined_step import JoinedStep
from gengap.training.step import make_step

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_the_stacked_one(case, monkeypatch):
    monkeypatch.setattr(fused_step, "_CACHE", 1)  # every network is a group
    arch, cell, given = prepared(**CASES[case])
    step = make_fused_step(arch, cell, SHAPE)
    results = [each(*given) for each in (step, make_step(arch, cell))]
    if case == "adam":  # which makes steps of the rounding errors of gradients that are 0: only its moments are equal
        results = [networks.optimizer_state for networks, _ in results]
    found, expected = map(pytree.tree_leaves, results)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [16, 50])
@pytest.mark.parametrize("name", ["frankle_conv", "lenet", "patch_conv", "plain_conv"])
def test_a_step_of_other_models_is_the_stacked_one(name, batch_size):
    """Without BatchNorm in batches of any size, of which the last vector of samples is filled up."""
    shape, model = (3, 32, 32), {"name": name, "batchnorm": "none"}
    arch, cell, given = prepared(1, batch_size, shape=shape, model=model, loss={"name": "cross_entropy"})
    assert fuses(arch, cell, shape, batch_size)
    found, expected = (make(*given) for make in (make_fused_step(arch, cell, shape), make_step(arch, cell)))
    for one, other in zip(pytree.tree_leaves(found), pytree.tree_leaves(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("filled", [False, True])
def test_bits_depend_on_neither_pack_nor_groups(filled, monkeypatch):
    other = {"model": {"name": "patch_conv", "batchnorm": "none"}, "batch_size": 30} if filled else {}
    arch, cell, (networks, images, targets, inputs) = prepared(n_networks=5, **other)
    step = make_fused_step(arch, cell, SHAPE)
    together, loss = step(networks, images, targets, inputs)
    monkeypatch.setattr(fused_step, "_CACHE", 1)
    apart = step(networks, images, targets, inputs)
    alone = pytree.tree_map(lambda value: value[2:3], (networks, inputs))
    for found, place in ((apart, slice(None)), (step(alone[0], images, targets, alone[1]), slice(2, 3))):
        pairs = zip(pytree.tree_leaves(found), pytree.tree_leaves((together, loss)), strict=True)
        assert all(torch.equal(one, other[place]) for one, other in pairs)


class Unused(nn.Module):
    """A network with a branch that does not reach the outputs, or with a layer that never runs."""

    def __init__(self, runs):
        super().__init__()
        self.conv, self.output, self.aside, self.runs = nn.Conv2d(3, 2, 8), nn.Linear(2, 1), nn.Linear(2, 1), runs

    def forward(self, x):
        features = self.conv(x).flatten(1)
        if self.runs:
            self.aside(features)
        return self.output(features)


@pytest.mark.parametrize("runs", [True, False])
def test_layers_without_an_effect_have_no_such_step(runs):
    """Their gradients are 0, which the kernels would leave as they found the memory."""
    arch = stack.architecture(Unused(runs))
    assert make_fused_step(arch, Cell(), SHAPE) is None
    assert not fuses(arch, Cell(), SHAPE, 128)


def test_where_it_is_chosen():
    arch, cell, _ = prepared()
    assert fuses(arch, cell, SHAPE, 128)
    assert not fuses(arch, cell, SHAPE, 100)
    plain = prepared(model={"name": "patch_conv", "batchnorm": "none"})
    assert fuses(*plain[:2], SHAPE, 100)
    assert not fuses(*plain[:2], SHAPE, 15)  # less than a vector
    assert fused_step.computed_samples(*plain[:2], SHAPE, 100) == 112
    assert fused_step.computed_samples(arch, cell, SHAPE, 100) == 0
    assert not fuses(arch, cell, SHAPE, 2**20)  # its maps would take gigabytes
    for other in ({"dtype": "float64"}, {"dtype": "bfloat16"}, {"noise_std": 0.1}, {"step_batchnorm": "exact"}):
        assert not fuses(arch, Cell.model_validate({"model": {"width": 4}, "training": other}), SHAPE, 128)
    products = stack.architecture(nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 1)))
    assert not fuses(products, cell, SHAPE, 128)
    unknown = stack.architecture(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 1)))
    assert not fuses(unknown, cell, SHAPE, 128)
    assert make_fused_step(unknown, cell, SHAPE) is None
    assert step_choice.make(unknown, cell, SHAPE, 128, CPU, "fused").__qualname__.startswith("make_step")
    assert isinstance(step_choice.make(arch, cell, SHAPE, 128, CPU), JoinedStep)
    apart = {"optimizer": {"name": "sgd_unit_rows"}}, {"training": {"subspace": 5, "projection": "sparse"}}
    for settings in apart:
        arch, cell, _ = prepared(**settings)
        assert step_choice.make(arch, cell, SHAPE, 128, CPU).__qualname__.startswith("make_fused_step")
    assert step_choice.make(arch, cell, SHAPE, 128, CPU, "stacked").__qualname__.startswith("make_step")


@pytest.mark.parametrize(("n_networks", "sizes"), [(1, [1]), (7, [7]), (64, [10] * 6 + [4]), (1000, [63] * 15 + [55])])
def test_groups_cover_a_pack(n_networks, sizes):
    """Song's network of width 4 has 390 KB of maps with a batch of 128: ten fit, but never more than 16 groups."""
    found = fused_step._groups(n_networks, 128, 761)
    assert len(fused_step._groups(n_networks, 128, 761, threads=64)) == math.ceil(n_networks / 640)
    assert [part.stop - part.start for part in found] == sizes
    assert [part.start for part in found] == [0, *(part.stop for part in found[:-1])]
    assert found[-1].stop == n_networks
