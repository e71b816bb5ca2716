"""Convolutions as products of matrices: values and derivatives of first and second order are PyTorch's own."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from gengap import models
from gengap.engine import stack
from gengap.engine.layers import im2col
from gengap.studies.settings import Model

F64 = torch.float64


def derivatives(network, state, x):
    """Outputs, the gradient of a curved function of them, and its Hessian's product with a fixed vector."""
    leaves = {
        name: value.clone().requires_grad_()
        for name, value in state.items()
        if name in dict(network.named_parameters())
    }
    x = x.clone().requires_grad_()
    outputs = functional_call(network, {**state, **leaves}, (x,))
    inner = [*leaves.values(), x]
    first = torch.autograd.grad(outputs.sin().sum(), inner, create_graph=True)
    vectors = [torch.linspace(-1, 1, one.numel(), dtype=F64).view_as(one) for one in inner]
    return [outputs, *first, *torch.autograd.grad(first, inner, vectors)]


def assert_same(network, x):
    state = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    found = im2col.with_im2col(network)
    for one, expected in zip(derivatives(found, state, x), derivatives(network, state, x), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-10, atol=1e-10)
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"kernel_size": 1, "stride": 2, "bias": False},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 2)},
        {"kernel_size": 3, "dilation": (2, 1), "padding": 2},
        {"kernel_size": (6, 7)},
    ],
)
def test_every_kind_of_kernel(options):
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(2, 3, **options)).to(F64)
    found = assert_same(conv, torch.randn(4, 2, 6, 7, dtype=F64))
    assert type(found[0]) is im2col.Im2colConv2d


@pytest.mark.parametrize("options", [{"groups": 2}, {"padding_mode": "reflect", "padding": 1}, {"padding": "same"}])
def test_others_are_left_to_pytorch(options):
    torch.manual_seed(0)
    assert_same(nn.Sequential(nn.Conv2d(2, 2, 3, **options)).to(F64), torch.randn(2, 2, 5, 5, dtype=F64))


@pytest.mark.parametrize("model", [Model(width=3), Model(name="resnet", width=2), Model(name="lenet")])
def test_whole_networks_in_both_modes(model):
    """BatchNorm with constant statistics, and differentiated through the batch's."""
    torch.manual_seed(0)
    arch = stack.architecture(models.build(model, (3, 16, 16), 2))
    for network in (arch.evaluation, arch.batch):
        real = copy.deepcopy(network).to_empty(device="cpu").to(F64)
        for name, value in real.state_dict().items():
            value.copy_(torch.rand_like(value) if name.endswith("var") else torch.randn_like(value) / 3)
        assert_same(real, torch.randn(3, 3, 16, 16, dtype=F64))
