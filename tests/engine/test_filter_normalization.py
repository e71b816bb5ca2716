"""Filters of norm 1 where a BatchNorm follows, and the same outputs."""

import pytest
import torch
from torch import nn

from gengap import models
from gengap.engine import stack
from gengap.engine.graph.filter_normalization import with_unit_filters
from gengap.engine.graph.network_graph import norms_after
from gengap.studies.settings import Model


class Twice(nn.Module):
    """The output of a layer is read by a BatchNorm, and beside it."""

    def __init__(self):
        super().__init__()
        self.linear, self.bn = nn.Linear(4, 3), nn.BatchNorm1d(3)

    def forward(self, x):
        y = self.linear(x.flatten(1))
        return self.bn(y) + y


def test_only_batchnorms_directly_behind_a_layer_count(arch):
    assert norms_after(arch, (3, 8, 8)) == {
        "block1.conv1": "block1.bn1",
        "block1.conv2": "block1.bn2",
        "block1.shortcut": "block1.shortcut_bn",
        "block2.conv1": "block2.bn1",
        "block2.conv2": "block2.bn2",
        "block2.shortcut": "block2.shortcut_bn",
        "hidden.linear": "hidden.bn",
    }


def test_in_a_wide_residual_network_convolutions_before_a_sum_are_left_alone():
    arch = stack.architecture(models.build(Model(name="wide_resnet", width=4, depth=10), (3, 8, 8), 1))
    found = norms_after(arch, (3, 8, 8))
    network = models.build(Model(name="wide_resnet", width=4, depth=10), (3, 8, 8), 1)
    n_norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    assert 0 < len(found) < n_norms


def test_filters_have_norm_1_and_the_function_stays(arch, state, images, network_of):
    result = with_unit_filters(arch, state, images)
    for layer in norms_after(arch, (3, 8, 8)):
        norms = result[f"{layer}.weight"].flatten(2).norm(dim=2)
        torch.testing.assert_close(norms, torch.ones_like(norms))
    assert result["output.weight"] is state["output.weight"]
    for place in range(3):
        network = network_of(place).eval()
        before = network(images)
        network.load_state_dict({name: value[place] for name, value in result.items()}, strict=False)
        torch.testing.assert_close(network(images), before, rtol=1e-9, atol=1e-12)


def test_a_filter_of_zeros_stays(arch, state, images):
    state["block1.conv1.weight"][0, 1] = 0
    result = with_unit_filters(arch, state, images)
    assert not result["block1.conv1.weight"][0, 1].any()
    assert all(value.isfinite().all() for value in result.values())


def test_a_second_reader_of_the_layer_is_noticed():
    arch = stack.architecture(Twice())
    generator = torch.Generator().manual_seed(0)
    shapes = {"linear.weight": (3, 4), "linear.bias": (3,), "bn.weight": (3,), "bn.bias": (3,)}
    shapes |= {"bn.running_mean": (3,), "bn.running_var": (3,)}
    state = {name: torch.rand(1, *shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match="something beside the BatchNorm reads"):
        with_unit_filters(arch, state, torch.rand(5, 1, 2, 2, generator=generator, dtype=torch.float64))
