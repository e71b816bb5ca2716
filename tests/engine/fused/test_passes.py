"""A pack's passes by the kernels of a CPU against PyTorch in float64; those of a GPU: `tests/engine/cuda`."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from random_networks import SHAPE, RandomNetwork
from torch import nn
from torch.func import grad, vmap

from gengap import models
from gengap.engine import stack
from gengap.engine.cpu import operators
from gengap.engine.fused import passes
from gengap.engine.fused.program import program
from gengap.engine.graph.network_graph import shaped
from gengap.studies.settings import Model

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")


def setup(network, image_shape, n_networks=2, samples=32, seed=0):
    """The program of a network, and random numbers for a pack of it in float64."""
    generator = torch.Generator().manual_seed(seed)
    arch = stack.architecture(network)
    made = program(shaped(arch.training, image_shape))
    assert made is not None

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    shapes = {name: value.shape for name, value in arch.training.state_dict().items()}
    # Outputs of about 1, whose sines float32 knows.
    parameters = {name: random(n_networks, *shapes[name]) / shapes[name][1:].numel() ** 0.5 for name in arch.parameters}
    buffers = {name: torch.zeros(n_networks, *shapes[name], dtype=torch.float64) for name in arch.buffers}
    return arch, made, parameters, buffers, random(n_networks, samples, *image_shape)


def theirs(arch, parameters, buffers, images):
    """Gradients of the sum of the outputs' sines, and the outputs, by PyTorch."""

    def of_one(parameters, buffers, images):
        outputs, _ = stack.outputs_and_buffers(arch, arch.training, {**buffers, **parameters}, images)
        return outputs.sin().sum(), outputs

    return vmap(grad(of_one, has_aux=True))(parameters, buffers, images)


def ours(made, parameters, images):
    """The same by the kernels, in float32."""
    parameters = {name: value.float() for name, value in parameters.items()}
    weights = passes.joined(made, parameters)
    maps, statistics = passes.forward(made, weights, images.float())
    outputs = passes.outputs(made, maps)
    flat = passes.backward(made, weights, images.float(), maps, statistics, outputs.cos())
    return passes.apart(made, flat, {name: value.shape[1:] for name, value in parameters.items()}), outputs


def assert_near(found, expected):
    """Within float32's rounding, of the largest gradient: that of a bias before BatchNorm is 0."""
    gradients, outputs = found
    assert_close(outputs, expected[1])
    assert gradients.keys() == expected[0].keys()
    scale = max(value.abs().max().item() for value in expected[0].values())
    for name, value in expected[0].items():
        assert_close(gradients[name], value, name, scale)


def assert_close(found, expected, name="outputs", scale=None):
    assert found.dtype == torch.float32
    scale = expected.abs().max().item() if scale is None else scale
    assert (found.double() - expected).abs().max().item() < 5e-5 * scale, name


class Twice(nn.Module):
    """A map that two layers read, one of them a sum."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.second(x + self.first(x))


class Padded(nn.Module):
    """Every third pixel, with one channel of zeros before and two after, of a map that another layer reads as well."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 7, 1, stride=3)

    def forward(self, x):
        return nn.functional.pad(x[:, :, ::3, ::3], (0, 0, 0, 0, 1, 2)) + self.conv(x)


def head(*layers, size):
    """Layers of 3-channel images, and a linear layer on what they make."""
    network = nn.Sequential(*layers, nn.Flatten())
    return nn.Sequential(*network, nn.Linear(network(torch.zeros(2, 3, *size)).shape[1], 2))


NETWORKS = {
    "song": lambda: (models.build(Model(width=5), (3, 8, 8), 2), (8, 8)),
    "lenet": lambda: (models.build(Model(name="lenet", batchnorm="before"), (3, 28, 28), 10), (28, 28)),
    "strides": lambda: (head(nn.Conv2d(3, 7, (3, 2), 2, 1), nn.ReLU(), nn.Conv2d(7, 9, 2, 3), size=(9, 8)), (9, 8)),
    "dilation": lambda: (head(nn.Conv2d(3, 17, 3, 1, 2, 2, bias=False), nn.BatchNorm2d(17), size=(5, 4)), (5, 4)),
    "pools": lambda: (
        head(nn.MaxPool2d(3, 2), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.MaxPool2d(2), size=(9, 9)),
        (9, 9),
    ),
    "sum of images": lambda: (head(Twice(), nn.ReLU(), Twice(), size=(3, 3)), (3, 3)),
    "one channel": lambda: (
        head(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 13, 3), nn.BatchNorm2d(13), nn.ReLU(), nn.MaxPool2d(2), size=(8, 8)),
        (8, 8),
    ),
    "averages": lambda: (
        head(
            nn.AvgPool2d(3, 2), nn.Conv2d(3, 6, 2), nn.ReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), size=(13, 11)
        ),
        (13, 11),
    ),
    "wide resnet": lambda: (models.build(Model(name="wide_resnet", width=4, depth=10), (3, 8, 8), 3), (8, 8)),
    "resnet": lambda: (models.build(Model(name="resnet", width=3, depth=8), (3, 9, 9), 3), (9, 9)),
    "padded": lambda: (head(nn.Conv2d(3, 4, 3), Padded(), nn.ReLU(), size=(8, 9)), (8, 9)),
    "one pixel": lambda: (head(nn.Conv2d(3, 1, 1), size=(1, 1)), (1, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("samples", [16, 48, 128])
def test_gradients_and_outputs(name, samples):
    network, size = NETWORKS[name]()
    arch, made, parameters, buffers, images = setup(network, (3, *size), samples=samples)
    assert_near(ours(made, parameters, images), theirs(arch, parameters, buffers, images))


def test_networks_wired_at_random():
    drawn = 0
    for seed in range(30):
        network = RandomNetwork(seed)
        if program(shaped(stack.architecture(network).training, SHAPE)) is not None:
            arch, made, parameters, buffers, images = setup(network, SHAPE)
            assert_near(ours(made, parameters, images), theirs(arch, parameters, buffers, images))
            drawn += 1
    assert drawn >= 10


def test_the_bits_of_a_network_are_those_of_the_network_alone():
    _, made, parameters, _, images = setup(NETWORKS["song"]()[0], (3, 8, 8), n_networks=3)
    gradients, outputs = ours(made, parameters, images)
    gradients_alone, outputs_alone = ours(made, stack.take(parameters, [1]), images[1:2])
    assert torch.equal(outputs_alone[0], outputs[1])
    assert all(torch.equal(value[0], gradients[name][1]) for name, value in gradients_alone.items())


def test_statistics_are_those_of_the_batch():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 1))
    _, made, parameters, _, images = setup(network, (3, 2, 2))
    weights = passes.joined(made, {name: value.float() for name, value in parameters.items()})
    _, statistics = passes.forward(made, weights, images.float())
    assert_close(statistics[:, 0], images.mean(dim=(1, 3, 4)), "mean")
    assert_close(statistics[:, 1], images.var(dim=(1, 3, 4), correction=0), "variance")


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.MaxPool2d(1)], ids=["relu", "pool"])
def test_not_a_number_stays_one(layer):
    """Neither a ReLU nor a pool may turn the NaN of a diverged network into a number that looks alive."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1), layer, nn.Flatten(), nn.Linear(1, 1))
    _, made, parameters, _, images = setup(network, (1, 1, 1), n_networks=1, samples=16)
    images[0, 1] = float("nan")
    gradients, outputs = ours(made, parameters, images)
    assert outputs[0, :, 0].isnan().nonzero().flatten().tolist() == [1]
    assert gradients["0.weight"].isnan().all()


def test_of_equal_numbers_in_a_pool_the_first_takes_the_gradient():
    network = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1))
    convolved = nn.Sequential(nn.Conv2d(1, 1, 1), *network)
    arch, made, parameters, buffers, images = setup(convolved, (1, 2, 2), n_networks=1, samples=16)
    images[:] = images[:, :, :, :1, :1]  # the four numbers of every window are equal
    assert_near(ours(made, parameters, images), theirs(arch, parameters, buffers, images))


@pytest.fixture
def small_and_large():
    """The arguments of two forward passes, the second of which needs more than twice the memory."""
    arguments = []
    for samples in (4096, 12288):
        _, made, parameters, _, images = setup(models.build(Model(width=4), (3, 8, 8), 1), (3, 8, 8), samples=samples)
        arguments.append((made, passes.joined(made, {n: v.float() for n, v in parameters.items()}), images.float()))
    return arguments


def test_a_step_takes_the_memory_that_the_last_one_gave_back(small_and_large):
    small, _ = small_and_large
    first, _ = passes.forward(*small)
    where, numbers = first.data_ptr(), first.clone()
    del first
    again, _ = passes.forward(*small)
    assert again.data_ptr() == where
    assert torch.equal(again, numbers)


def test_memory_in_use_is_nobody_elses(small_and_large):
    small, large = small_and_large
    held = [passes.forward(*small)[0] for _ in range(6)] + [passes.forward(*large)[0]]
    ranges = sorted((maps.data_ptr(), maps.data_ptr() + maps.nbytes) for maps in held)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ranges))
    assert all(torch.equal(maps, held[0]) for maps in held[1:6])


def test_a_small_map_takes_no_large_block(small_and_large):
    small, large = small_and_large
    maps, _ = passes.forward(*large)
    where = maps.data_ptr()
    del maps
    assert passes.forward(*small)[0].data_ptr() != where
    assert passes.forward(*large)[0].data_ptr() == where


WITHOUT_MEMORY = r"""
import resource, sys
import torch
from gengap import models
from gengap.engine import stack
from gengap.engine.fused import passes
from gengap.engine.fused.program import program
from gengap.engine.graph.network_graph import shaped
from gengap.studies.settings import Model
from gengap.training.memory_budget import out_of_memory

torch.set_num_threads(2)
arch = stack.architecture(models.build(Model(width=16), (3, 8, 8), 1))
made = program(shaped(arch.training, (3, 8, 8)))
weights, images = torch.rand(2, made.n_weights), torch.rand(2, 4096, 3, 8, 8)
maps, statistics = passes.forward(made, weights, images)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 10**7,) * 2)
for call in (
    lambda: passes.forward(made, weights, images),
    lambda: passes.backward(made, weights, images, maps, statistics, torch.ones(2, 4096, 1)),
):
    try:
        call()
    except Exception as error:
        assert out_of_memory(error), error
    else:
        sys.exit("there was memory")
print("told twice")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads what is taken from Linux")
@pytest.mark.skipif("GENGAP_KERNELS_FLAGS" in os.environ, reason="a sanitizer takes all addresses for itself")
def test_memory_that_runs_out_is_told_of():
    done = subprocess.run([sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True)
    assert done.stdout == "told twice\n", done.stderr
