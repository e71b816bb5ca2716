"""The kernels in Triton's interpreter against PyTorch in float64.

Run by `test_interpreter.py`. On maps of a few pixels: an operation takes a millisecond there.
"""

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from gengap.engine import stack
from gengap.engine.fused import passes
from gengap.engine.fused.program import program
from gengap.engine.graph.network_graph import shaped
from gengap.models.song import Block


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Four samples at a time, so that five are a whole block and a tail."""
    monkeypatch.setattr(passes, "_BLOCK", 4)


def residual():
    """Two convolutions beside a projected shortcut, a linear layer, BatchNorm after each, ReLUs after two."""
    return nn.Sequential(Block(1, 2, 2, nn.BatchNorm2d), nn.Flatten(), nn.Linear(8, 2), nn.BatchNorm1d(2), nn.ReLU())


def both(network, image_shape, n_networks=2, samples=5, seed=0):
    """Outputs, gradients and statistics of a pack, by the kernels and by PyTorch; and how to run some of it alone."""
    torch.manual_seed(seed)
    arch = stack.architecture(network)
    made = program(shaped(arch.training, image_shape))
    state = {
        name: torch.randn(n_networks, *value.shape, dtype=torch.float64)
        for name, value in arch.training.state_dict().items()
    }
    images = torch.randn(n_networks, samples, *image_shape, dtype=torch.float64)

    def of_one(parameters, images):
        outputs, _ = stack.outputs_and_buffers(arch, arch.training, {**state_of_buffers, **parameters}, images)
        return (outputs.sin().sum()), outputs

    state_of_buffers = {name: state[name][0] for name in arch.buffers}
    parameters = {name: state[name] for name in arch.parameters}

    def theirs(parameters, images):
        return vmap(grad(of_one, has_aux=True))(parameters, images)

    def ours(parameters, images):
        weights = passes.joined(made, parameters)
        maps, statistics = passes.forward(made, weights, images)
        outputs = passes.outputs(made, maps)
        flat = passes.backward(made, weights, images, maps, statistics, outputs.cos())
        return passes.apart(made, flat, {name: value.shape[1:] for name, value in parameters.items()}), outputs

    return ours, theirs, parameters, images


def assert_near(found, expected):
    gradients, outputs = found
    assert (outputs - expected[1]).abs().max() < 1e-12
    assert gradients.keys() == expected[0].keys()
    for name, value in expected[0].items():
        assert (gradients[name] - value).abs().max() < 1e-11 * max(1, value.abs().max()), name


def test_a_residual_network():
    ours, theirs, parameters, images = both(residual(), (1, 3, 3), n_networks=1)
    assert_near(ours(parameters, images), theirs(parameters, images))


def test_the_bits_of_a_network_are_those_of_the_network_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1))
    ours, theirs, parameters, images = both(network, (1, 2, 2))
    gradients, outputs = found = ours(parameters, images)
    assert_near(found, theirs(parameters, images))
    gradients_alone, outputs_alone = ours(stack.take(parameters, [1]), images[1:])
    assert torch.equal(outputs_alone[0], outputs[1])
    assert all(torch.equal(value[0], gradients[name][1]) for name, value in gradients_alone.items())


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "bias", "size"),
    [((3, 2), 2, 1, 1, True, (3, 4)), (2, 1, 0, 2, False, (4, 3)), ((1, 3), 3, 2, 1, True, (2, 2))],
    ids=str,
)
def test_a_convolution_of_any_shape(kernel, stride, padding, dilation, bias, size):
    convolution = nn.Conv2d(3, 1, kernel, stride, padding, dilation, bias=bias)
    n_features = convolution(torch.zeros(1, 3, *size)).numel()
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), convolution, nn.Flatten(), nn.Linear(n_features, 1))
    ours, theirs, parameters, images = both(network, (1, *size), n_networks=1, samples=3)
    assert_near(ours(parameters, images), theirs(parameters, images))


def test_not_a_number_stays_one():
    """A ReLU must not turn the NaN of a diverged network into a 0 that looks alive."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(1, 1))
    ours, _, parameters, images = both(network, (1, 1, 1), n_networks=1, samples=3)
    images[0, 1] = float("nan")
    gradients, outputs = ours(parameters, images)
    assert outputs[0, :, 0].isnan().tolist() == [False, True, False]
    assert gradients["0.weight"].isnan().all()


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(1, 2, 1, groups=1), nn.GELU(), nn.Flatten(), nn.Linear(8, 1)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1)),
    ],
    ids=["gelu", "dropout"],
)
def test_what_the_kernels_lack_has_no_program(network):
    arch = stack.architecture(network)
    assert program(shaped(arch.training, (1, 2, 2))) is None
