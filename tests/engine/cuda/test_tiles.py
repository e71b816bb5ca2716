"""Convolutions as products against PyTorch's, and a training step of them against the ordinary module, in float64."""

import random as shapes
from unittest import mock

import pytest
import torch
from torch import nn
from torch.func import grad, vmap
from torch.nn import functional

from gengap import models
from gengap.engine import stack
from gengap.engine.cuda import products, tiles
from gengap.engine.cuda.products import ProductConv2d, with_products
from gengap.studies.settings import Model


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_near(found, expected):
    assert (found - expected).abs().max().item() < 1e-12 * max(1, expected.abs().max().item())


def random_case(seed):
    """A convolution of any sizes whose kernel fits into the padded map, and the map's sides."""
    rng = shapes.Random(seed)

    def pair(low, high):
        return rng.randint(low, high), rng.randint(low, high)

    kernel, stride, padding, dilation = pair(1, 4), pair(1, 3), pair(0, 2), pair(1, 2)
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
    conv = nn.Conv2d(rng.randint(1, 5), rng.randint(1, 6), kernel, stride, padding, dilation, bias=seed % 3 > 0)
    return conv, tuple(side + rng.randint(0, 5) for side in least), rng.randint(1, 7)


@pytest.mark.parametrize("whole", [(False, False), (False, True), (True, False), (True, True)], ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_convolution_and_its_gradients(seed, whole):
    conv, size, samples = random_case(seed)
    tiling = tiles.sides(conv, size, whole)
    x, weight = drawn(3, samples, conv.in_channels, *size), drawn(3, *conv.weight.shape, seed=1)
    bias = drawn(3, conv.out_channels, seed=2)

    def loss(convolve):
        def of_one(x, weight, bias):
            y = convolve(x, weight, None if conv.bias is None else bias)
            return (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sin().sum(), y

        return vmap(grad(of_one, argnums=(0, 1, 2), has_aux=True))(x, weight, bias)

    def theirs(x, weight, bias):
        return functional.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation)

    expected, y_expected = loss(theirs)
    found, y = loss(lambda *given: tiles.convolve(*given, tiling))
    assert_near(y, y_expected)
    for one, other in zip(found, expected, strict=True):
        assert_near(one, other)


def test_what_is_written_with_samples_last_is_read_without_a_copy():
    conv = nn.Conv2d(3, 4, 3, padding=1)
    y = tiles.convolve(torch.randn(5, 3, 6, 6), conv.weight, conv.bias, tiles.sides(conv, (6, 6), (True, True)))
    assert y.permute(2, 3, 1, 0).is_contiguous()


@pytest.mark.parametrize(
    ("channels", "size", "whole"), [(4, 4, (True, True)), (64, 4, (False, True)), (32, 32, (False, False))], ids=str
)
def test_the_smaller_the_map_the_larger_the_tile(channels, size, whole):
    height, width = tiles.best_tiling(nn.Conv2d(channels, channels, 3, padding=1), (size, size), 128)
    assert (height.whole, width.whole) == whole


def test_large_windows_are_not_copied():
    conv = nn.Conv2d(2, 3, 3)
    conv.__class__ = ProductConv2d
    x = torch.randn(4, 2, 9, 9)
    with mock.patch.object(tiles, "convolve", side_effect=AssertionError("a product")):
        with pytest.raises(AssertionError, match="a product"):
            conv(x)
        with mock.patch.object(products, "_MOST_COPIED", 100):
            assert conv(x).shape == (4, 3, 7, 7)


@pytest.mark.parametrize(
    "model", [{"name": "song", "width": 3}, {"name": "resnet", "depth": 8, "width": 2}], ids=lambda m: m["name"]
)
def test_a_network_of_products_is_the_same_function(model):
    """Outputs, gradients and running statistics of a pack, and of any network alone."""
    torch.manual_seed(0)
    nets = [models.build(Model(**model), (3, 8, 8), 2).double() for _ in range(3)]
    arch = stack.architecture(nets[0])
    state = stack.stacked([dict(net.state_dict()) for net in nets])
    state = {name: state[name] for name in (*arch.parameters, *arch.buffers)}
    images = drawn(3, 11, 3, 8, 8)

    def run(network, state, images):
        def of_one(state, images):
            outputs, buffers = stack.outputs_and_buffers(arch, network, state, images)
            return outputs.square().sum(), (outputs, buffers)

        return vmap(grad(of_one, has_aux=True))(state, images)

    made = with_products(arch.training)
    assert sum(isinstance(layer, ProductConv2d) for layer in made.modules()) >= 2
    assert not any(isinstance(layer, ProductConv2d) for layer in arch.training.modules())
    expected, found = run(arch.training, state, images), run(made, state, images)
    alone = run(made, stack.take(state, [1]), images[1:2])
    leaves = torch.utils._pytree.tree_leaves
    for one, other, single in zip(leaves(found), leaves(expected), leaves(alone), strict=True):
        assert_near(one, other)
        assert_near(single, other[1:2])
