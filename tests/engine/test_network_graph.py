"""Which tensors belong to which layer, for Song's network by hand and for every registered model as a partition."""

import pytest
import torch
from torch import nn

from gengap import models, registry
from gengap.engine import stack
from gengap.engine.graph.network_graph import layer_parts
from gengap.studies.settings import Model


def parts_of(network, image_shape):
    arch = stack.architecture(network)
    return arch, layer_parts(arch, image_shape)


def with_batchnorm(layer, batchnorm):
    statistics = (f"{batchnorm}.running_mean", f"{batchnorm}.running_var")
    return (f"{layer}.weight", f"{layer}.bias", f"{batchnorm}.weight", f"{batchnorm}.bias", *statistics)


def test_song_by_hand():
    _, parts = parts_of(models.build(Model(width=3), (3, 8, 8), 1), (3, 8, 8))
    expected = {}
    for block in ("block1", "block2"):
        for layer, batchnorm in (("conv1", "bn1"), ("conv2", "bn2"), ("shortcut", "shortcut_bn")):
            expected[f"{block}.{layer}"] = with_batchnorm(f"{block}.{layer}", f"{block}.{batchnorm}")
    expected["hidden.linear"] = with_batchnorm("hidden.linear", "hidden.bn")
    expected["output"] = ("output.weight", "output.bias")
    assert parts == expected
    assert list(parts) == list(expected)  # the order in which they run


@pytest.mark.parametrize("name", sorted(registry.REGISTRY["model"]))
@pytest.mark.parametrize("n_outputs", [1, 10])
def test_every_tensor_of_every_model_belongs_to_one_layer(name, n_outputs):
    shape = (3, 32, 32)
    arch, parts = parts_of(models.build(Model(name=name, width=2), shape, n_outputs), shape)
    tensors = [tensor for part in parts.values() for tensor in part]
    assert sorted(tensors) == sorted([*arch.parameters, *arch.buffers])
    assert set(parts) == set(arch.layers)
    shapes = dict(arch.evaluation.state_dict())
    for layer, part in parts.items():
        width = shapes[f"{layer}.weight"].shape[0]
        own = [shapes[tensor].shape[0] for tensor in part if tensor.endswith(".running_mean")]
        assert len(own) <= 1 or width in own, layer


class Branches(nn.Module):
    """Declared in another order than run; BatchNorm far from its layer, on a sum, and on the input."""

    def __init__(self):
        super().__init__()
        self.late_bn = nn.BatchNorm2d(4)
        self.sum_bn = nn.BatchNorm2d(4)
        self.input_bn = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 4, 1)
        self.first = nn.Conv2d(3, 4, 1, bias=False)
        self.scale = nn.Parameter(torch.ones(()))
        self.output = nn.Linear(4, 2)

    def forward(self, x):
        x = self.input_bn(x)
        one, two = self.first(x), self.second(x)
        return self.output(self.sum_bn(self.late_bn(one) + two).mean(dim=(2, 3)) * self.scale)


def test_batchnorm_goes_with_the_layer_that_it_normalises():
    _, parts = parts_of(Branches(), (3, 4, 4))
    assert list(parts) == ["first", "second", "output"]
    assert {"first.weight", "late_bn.weight", "input_bn.bias", "scale"} <= set(parts["first"])
    assert {"second.bias", "sum_bn.running_var"} <= set(parts["second"])
    assert parts["output"] == ("output.weight", "output.bias")
