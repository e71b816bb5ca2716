"""Networks that the kernels of evaluation lack a step for, and networks put together in unusual ways."""

import pytest
import torch
from random_networks import random_pack, single
from torch import nn

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.cpu import exact_batchnorm, operators
from gengap.engine.evaluation.inference import inference
from gengap.studies.settings import Model

pytestmark = pytest.mark.skipif(not operators.supports(torch.zeros(1)), reason="no C++ compiler")


class Of(nn.Module):
    """A forward pass of some layers and one parameter of its own."""

    def __init__(self, run, **layers):
        super().__init__()
        self.run, self.factor = run, nn.Parameter(torch.ones(1))
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.run(self, x)


class Grouped(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x).flatten(1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 4, 3, groups=2),
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(2, 4, 3, stride=(1, 2)),
        nn.Conv2d(2, 4, 3, padding="same"),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, padding=1),
        nn.AdaptiveAvgPool2d(2),
        nn.Tanh(),
        Of(lambda net, x: net.conv(x)[:, :, ::2, ::1], conv=nn.Conv2d(2, 2, 1)),
        Of(lambda net, x: net.conv(x)[:, :1, ::2, ::2], conv=nn.Conv2d(2, 2, 1)),
        Of(lambda net, x: net.conv(x)[:, :, 1::2, 1::2], conv=nn.Conv2d(2, 2, 1)),
        Of(lambda net, x: net.conv(x)[()], conv=nn.Conv2d(2, 2, 1)),
        Of(lambda net, x: nn.functional.pad(net.conv(x), (0, 0, 0, 0, 2, 0)), conv=nn.Conv2d(2, 2, 1)),
        Of(lambda net, x: nn.functional.pad(net.conv(x), (1, 1, 0, 0, 1, 1)), conv=nn.Conv2d(2, 2, 1)),
        Of(lambda net, x: nn.functional.pad(net.conv(x), (0, 0, 0, 0, 1, 1), value=1.0), conv=nn.Conv2d(2, 2, 1)),
        Of(lambda net, x: nn.functional.pad(net.conv(x), (0, 0, 0, 0, -1, 0)), conv=nn.Conv2d(2, 2, 1)),
    ],
    ids=str,
)
def test_steps_that_the_kernels_do_not_know_run_on_pytorch(layer):
    arch, state, images = random_pack(Grouped(layer), (2, 7, 7), 20)
    assert inference(arch, (2, 7, 7)).program is None
    found = evaluation.all_outputs(arch, single(state), images.float(), "running") if state else None
    if found is not None:
        torch.testing.assert_close(found.double(), stack.outputs(arch.evaluation, state, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "end",
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AvgPool2d(22),
        nn.MaxPool2d(22),
        nn.Sequential(nn.MaxPool2d(22), nn.ReLU()),
        Of(lambda _, x: nn.functional.pad(x[:, :, ::22, ::22], (0, 0, 0, 0, 1, 2))),
    ],
    ids=["mean", "mean of a window", "maximum", "relu", "channels of zeros"],
)
def test_networks_that_do_not_end_with_a_layer(end):
    arch, state, images = random_pack(nn.Sequential(nn.Conv2d(2, 21, 5), end, nn.Flatten()), (2, 26, 26), 70)
    found = evaluation.all_outputs(arch, single(state), images.float(), "running")
    expected = stack.outputs(arch.evaluation, state, images)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


def images_normalised():
    layers = nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, affine=False), nn.Flatten(), nn.Linear(27, 2)
    return nn.Sequential(*layers)


def norm_of_flattened_maps():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.BatchNorm1d(27), nn.Linear(27, 2))


def one_norm_twice():
    layers = {"first": nn.Linear(50, 4), "second": nn.Linear(4, 4), "norm": nn.BatchNorm1d(4), "last": nn.Linear(4, 2)}
    return Of(lambda net, x: net.last(net.norm(net.second(net.norm(net.first(x.flatten(1)))))), **layers)


def one_layer_with_two_norms():
    layers = {"layer": nn.Linear(50, 50), "first": nn.BatchNorm1d(50), "second": nn.BatchNorm1d(50)}
    return Of(lambda net, x: net.second(net.layer(net.first(net.layer(x.flatten(1))))), **layers)


def norm_that_never_runs():
    return Of(lambda net, x: net.last(x.flatten(1)), last=nn.Linear(50, 2), norm=nn.BatchNorm1d(2))


def size_read_from_the_maps():
    layers = {"conv": nn.Conv2d(2, 3, 3), "norm": nn.BatchNorm2d(3), "last": nn.Linear(27, 2)}
    return Of(lambda net, x: net.last(net.norm(net.conv(x)).view(x.size(0), -1)), **layers)


def length_of_the_batch():
    return Of(lambda net, x: net.last(x.view(len(x), -1)), last=nn.Linear(50, 2))


def layers_called_by_keyword():
    layers = {"conv": nn.Conv2d(2, 3, 3), "relu": nn.ReLU(), "last": nn.Linear(27, 2)}
    return Of(lambda net, x: net.last(input=net.relu(input=net.conv(input=x)).flatten(1)), **layers)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(50, 2), nn.BatchNorm1d(2)

    def forward(self, x, scale=None):
        y = self.norm(self.layer(x.flatten(1)))
        return y if scale is None else scale * y


def parameter_of_its_own():
    return Of(lambda net, x: net.last(x.flatten(1)) * net.factor, last=nn.Linear(50, 2))


def maps_as_outputs():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten())


def relu_of_what_dropout_passes_on():
    def run(net, x):
        maps = net.conv(x)
        return net.last((net.relu(net.dropout(maps)) + maps).flatten(1))

    return Of(run, conv=nn.Conv2d(2, 2, 3), relu=nn.ReLU(), dropout=nn.Dropout(), last=nn.Linear(18, 2))


def relu_of_flattened_images():
    return nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(50, 2))


def result_that_nobody_reads():
    def run(net, x):
        outputs = net.last(x.flatten(1))
        net.relu(outputs)
        return outputs

    return Of(run, last=nn.Linear(50, 2), relu=nn.ReLU())


@pytest.mark.parametrize(
    "build",
    [
        images_normalised,
        norm_of_flattened_maps,
        one_norm_twice,
        one_layer_with_two_norms,
        norm_that_never_runs,
        size_read_from_the_maps,
        length_of_the_batch,
        layers_called_by_keyword,
        Scaled,
        parameter_of_its_own,
        maps_as_outputs,
        relu_of_what_dropout_passes_on,
        relu_of_flattened_images,
        result_that_nobody_reads,
    ],
)
def test_unusual_networks_give_the_same_whichever_way_they_run(build):
    arch, state, images = random_pack(build(), (2, 5, 5), 70)
    given, expected = images.clone(), stack.outputs(arch.evaluation, state, images)
    by_kernels = evaluation.all_outputs(arch, single(state), images.float(), "running")
    by_pytorch = evaluation.all_outputs(arch, state, images, "running")
    assert torch.equal(images, given)
    for found in (by_kernels.double(), by_pytorch):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    exact = evaluation.for_mode(arch, state, images, "exact")
    expected = stack.outputs(arch.evaluation, exact, images)
    made, found = evaluation.training_outputs(arch, single(state), images.float(), "exact")
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)
    for key, value in exact.items():
        torch.testing.assert_close(made[key].double(), value, rtol=1e-4, atol=1e-4, msg=key)


def test_large_maps_and_large_networks_run_on_pytorch():
    for network, shape in (
        (models.build(Model(width=64), (3, 32, 32), 1), (3, 32, 32)),
        (nn.Linear(600, 600), (600, 1, 1)),
    ):
        arch = stack.architecture(network if shape[0] == 3 else nn.Sequential(nn.Flatten(), network))
        assert inference(arch, shape).program is None


def test_where_statistics_would_keep_too_much_they_are_not_measured_by_kernels(monkeypatch):
    network, shape = models.build(Model(width=4), (3, 8, 8), 3), (3, 8, 8)
    arch, state, images = random_pack(network, shape, 100)
    monkeypatch.setattr("gengap.engine.cpu.execution._MOST_KEPT", 1000)
    assert exact_batchnorm.measured_statistics(arch, single(state), images.float()) is None
    assert set(evaluation.exact_statistics(arch, single(state), images.float())) == set(arch.buffers)


def test_a_large_bias_in_front_of_a_batchnorm_costs_no_digits():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    arch, state, images = random_pack(network, (3, 2, 2), 70)
    state["1.bias"] = torch.full_like(state["1.bias"], 1000.0)
    state["2.running_mean"] = state["1.bias"] + 0.125
    images, rounded = images.float(), {name: value.float().double() for name, value in state.items()}
    expected = stack.outputs(arch.evaluation, rounded, images.double())
    found = evaluation.all_outputs(arch, single(state), images, "running").double()
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()
