"""Networks run by our own kernels, for evaluation and for exact statistics, against PyTorch in float64."""

import pytest
import torch
from random_networks import SHAPE, RandomNetwork, random_pack, single
from torch import nn

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.cpu import exact_batchnorm, operators, program
from gengap.engine.evaluation.inference import inference
from gengap.studies.settings import Model

pytestmark = pytest.mark.skipif(not operators.supports(torch.zeros(1)), reason="no C++ compiler")


class Crossing(nn.Module):
    """Steps that no model of ours takes together: a ReLU, a pool and a sum of what others read too."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3, stride=2, padding=2, dilation=2, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2)
        self.second = nn.Conv2d(5, 2, (3, 1))
        self.second_norm = nn.BatchNorm2d(2, affine=True)
        self.output = nn.Linear(2 * 1 * 3, 3)

    def forward(self, x):
        y = self.conv(x)
        z = self.pool(self.relu(self.norm(y) + y) + y + self.relu(y))
        return self.output(self.second_norm(self.second(z)).flatten(1))


class Waiting(nn.Module):
    """Normalised maps that wait: for a norm behind a norm, and for a sum behind layers with norms of their own."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.again = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.second, self.second_norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.third, self.third_norm, self.relu = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()
        self.side, self.side_norm = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)
        self.output, self.output_norm = nn.Linear(3 * 25, 3), nn.BatchNorm1d(3)

    def forward(self, x):
        maps, side = self.norm(self.first(x)), self.side(x)
        y = self.third_norm(self.third(self.relu(self.second_norm(self.second(self.again(maps))))))
        return self.output_norm(self.output((y + self.relu(self.side_norm(side)) + side + maps).flatten(1)))


def ours(**settings):
    shape = settings.pop("shape", (3, 8, 8))
    return lambda: (models.build(Model(**settings), shape, 3), shape)


NETWORKS = {
    "song, width 4": ours(width=4),
    "song, width 9": ours(width=9, head="linear"),
    "lenet": ours(name="lenet", width=3, shape=(1, 28, 28)),
    "lenet, before": ours(name="lenet", width=3, batchnorm="before", shape=(1, 28, 28)),
    "lenet, after": ours(name="lenet", width=3, batchnorm="after", shape=(1, 28, 28)),
    "patch_conv": ours(name="patch_conv", width=43, shape=(1, 28, 28)),
    "mlp": ours(name="mlp", width=20),
    "keskar_fc": ours(name="keskar_fc"),
    "resnet": ours(name="resnet", width=3, depth=8, shape=(3, 9, 9)),
    "wide resnet": ours(name="wide_resnet", width=2, depth=10),
    "averages": lambda: (
        nn.Sequential(
            *(nn.AvgPool2d(3, 2), nn.Conv2d(2, 6, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)),
        ),
        (2, 13, 11),
    ),
    "pools in parts": lambda: (
        nn.Sequential(
            *(nn.Conv2d(2, 21, 3), nn.ReLU(), nn.AvgPool2d(3, 2), nn.Conv2d(21, 13, 2, bias=False), nn.MaxPool2d(2)),
            *(nn.ReLU(), nn.Flatten(), nn.Linear(13 * 5 * 5, 3)),
        ),
        (2, 26, 26),
    ),
    "crossing": lambda: (Crossing(), (2, 14, 14)),
    "waiting": lambda: (Waiting(), (2, 5, 5)),
}

NORMALISED = [name for name in NETWORKS if name not in ("lenet", "patch_conv", "mlp", "pools in parts")]


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_evaluation_mode(name):
    network, shape = NETWORKS[name]()
    arch, state, images = random_pack(network, shape, 150)  # two blocks of 64 and a rest
    assert inference(arch, shape).program is not None
    found = evaluation.all_outputs(arch, single(state), images.float(), "running")
    expected = stack.outputs(arch.evaluation, state, images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", NORMALISED)
def test_exact_statistics_are_those_of_one_batch(name):
    network, shape = NETWORKS[name]()
    arch, state, images = random_pack(network, shape, 150)
    found, _ = exact_batchnorm.measured_statistics(arch, single(state), images.float())
    expected = evaluation.exact_statistics(arch, state, images)
    assert list(found) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(found[key].double(), value, rtol=1e-4, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", NORMALISED)
def test_the_last_pass_of_exact_statistics_gives_the_outputs(name, monkeypatch):
    network, shape = NETWORKS[name]()
    arch, state, images = random_pack(network, shape, 150)
    state = evaluation.for_mode(arch, state, images, "exact")
    expected = stack.outputs(arch.evaluation, state, images)
    monkeypatch.setattr(evaluation, "all_outputs", None)  # they come from nowhere else
    made, found = evaluation.training_outputs(arch, single(state), images.float(), "exact")
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    for key, value in state.items():
        torch.testing.assert_close(made[key].double(), value, rtol=1e-4, atol=1e-4, msg=key)


def test_variance_survives_a_mean_that_is_a_thousand_times_larger():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    arch = stack.architecture(network)
    state = {"0.weight": torch.ones(1, 1, 1, 1, 1), "0.bias": torch.full((1, 1), 1e3)}
    state |= {"1.weight": torch.ones(1, 1), "1.bias": torch.zeros(1, 1)}
    state |= {name: torch.zeros(1, 1) for name in arch.buffers}
    images = torch.randn(5000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = exact_batchnorm.measured_statistics(arch, state, images)[0]["1.running_var"].item()
    assert found == pytest.approx(images.double().var(correction=0).item(), rel=1e-4)


@pytest.mark.parametrize("whole_map", [program._WHOLE_MAP, 60], ids=["whole maps", "pooled in parts"])
@pytest.mark.parametrize("seed", range(20))
def test_networks_wired_at_random_pack(seed, whole_map, monkeypatch):
    monkeypatch.setattr(program, "_WHOLE_MAP", whole_map)
    arch, state, images = random_pack(RandomNetwork(seed), SHAPE, 70)
    assert inference(arch, SHAPE).program is not None
    found = evaluation.all_outputs(arch, single(state), images.float(), "running")
    expected = stack.outputs(arch.evaluation, state, images)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    if arch.buffers:
        exact = evaluation.exact_statistics(arch, state, images)
        measured, outputs = exact_batchnorm.measured_statistics(arch, single(state), images.float(), outputs=True)
        for key, value in exact.items():
            torch.testing.assert_close(measured[key].double(), value, rtol=1e-3, atol=1e-3, msg=key)
        if outputs is not None:
            expected = stack.outputs(arch.evaluation, {**state, **exact}, images)
            torch.testing.assert_close(outputs.double(), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["patch_conv", "pools in parts"])
def test_large_maps_are_pooled_in_parts_with_the_same_bits(name, monkeypatch):
    arch, state, images = random_pack(*NETWORKS[name](), 70)
    in_parts = evaluation.all_outputs(arch, single(state), images.float(), "running")
    size = inference(arch, images.shape[1:]).program.buffer_size
    monkeypatch.setattr(program, "_WHOLE_MAP", 2**20)
    monkeypatch.setattr(program, "_MOST_MAPS", 2**20)
    arch, *_ = random_pack(*NETWORKS[name](), 70)  # another one, whose program is not known yet
    assert inference(arch, images.shape[1:]).program.buffer_size > size
    assert torch.equal(evaluation.all_outputs(arch, single(state), images.float(), "running"), in_parts)


@pytest.mark.parametrize("name", ["song, width 9", "crossing"])
def test_bits_depend_on_neither_pack_nor_threads(name, monkeypatch):
    network, shape = NETWORKS[name]()
    arch, state, images = random_pack(network, shape, 150)
    state, images = single(state), images.float()
    outputs = evaluation.all_outputs(arch, state, images, "running")
    statistics, exact = evaluation.training_outputs(arch, state, images, "exact")
    for place in range(3):
        one = stack.take(state, [place])
        assert torch.equal(evaluation.all_outputs(arch, one, images, "running")[0], outputs[place])
        for key, value in evaluation.exact_statistics(arch, one, images).items():
            assert torch.equal(value[0], statistics[key][place])
        assert torch.equal(evaluation.training_outputs(arch, one, images, "exact")[1][0], exact[place])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert torch.equal(evaluation.all_outputs(arch, state, images, "running"), outputs)
    assert torch.equal(evaluation.training_outputs(arch, state, images, "exact")[1], exact)
    for key, value in evaluation.exact_statistics(arch, state, images).items():
        assert torch.equal(value, statistics[key])


@pytest.mark.parametrize("held", [90_000, 50_000, 20_000], ids=["images turned once", "images read again", "too few"])
def test_networks_are_measured_in_groups_of_any_size(held, monkeypatch):
    network, shape = NETWORKS["song, width 4"]()
    arch, state, images = random_pack(network, shape, 150, count=5)
    state, images = single(state), images.float()
    together = evaluation.exact_statistics(arch, state, images)
    monkeypatch.setattr("gengap.engine.cpu.execution._SCRATCH", held)
    for key, value in evaluation.exact_statistics(arch, state, images).items():
        assert torch.equal(value, together[key])


@pytest.mark.parametrize("name", ["song, width 4", "lenet"])
def test_what_is_not_a_number_stays_so(name):
    network, shape = NETWORKS[name]()
    arch, state, images = random_pack(network, shape, 70)
    state, images = single(state), images.float()
    state[next(name for name in state if name.endswith("weight"))][1] = float("nan")
    outputs = evaluation.all_outputs(arch, state, images, "running")
    assert outputs[1].isnan().all()
    assert not outputs[[0, 2]].isnan().any()
