"""Outputs of mostly pruned perceptrons are those of the module, and the weights that are left are found again."""

import pytest
import torch

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.cpu import operators, sparse
from gengap.studies.settings import Model

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")
SHAPE = (3, 5, 7)


def networks(shares, depth=2, **settings):
    """Perceptrons with these shares of their weights left."""
    torch.manual_seed(0)
    arch = stack.architecture(
        models.build(Model(name="mlp", width=20, depth=depth, batchnorm="none", **settings), SHAPE, 4)
    )
    state = {name: torch.randn(len(shares), *value.shape) / 5 for name, value in arch.training.named_parameters()}
    for name, value in state.items():
        if name.endswith(".weight"):
            state[name] = torch.stack(
                [one * (torch.rand(one.shape) < share) for one, share in zip(value, shares, strict=True)]
            )
    return arch, state


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("n_images", [1, 64, 1500])
def test_outputs_are_those_of_the_module(depth, n_images):
    arch, state = networks([0.3, 0.0, 0.05], depth)
    images = torch.randn(n_images, *SHAPE)
    assert sparse.mostly_pruned(arch, state, images).all()
    found = evaluation.all_outputs(arch, state, images, "running")
    exact = {name: value.double() for name, value in state.items()}
    expected = torch.vmap(lambda one: torch.func.functional_call(arch.evaluation, one, images.double()))(exact)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 16, 50, 200])
def test_gradients_are_those_of_float64(depth, batch_size):
    arch, state = networks([0.3, 0.0, 0.9], depth)
    network = sparse.perceptron(arch)
    where = sparse.sparsity(network, state)
    images, samples = torch.randn(70, *SHAPE), torch.randint(70, (3, batch_size))
    known = sparse.gathered(network, where, state), sparse.joined_biases(network, state)
    blocks = sparse.gather_blocks(images, samples)
    maps = sparse.forward(network, where, *known, blocks)
    toward = torch.randn(3, batch_size, 4)
    found = sparse.backward(network, where, *known, blocks, maps, toward)

    exact = {name: value.double().requires_grad_() for name, value in state.items()}
    call = torch.vmap(lambda one, x: torch.func.functional_call(arch.evaluation, one, x))
    outputs = call(exact, images[samples].double())
    torch.testing.assert_close(sparse.outputs_of(network, maps)[:, :batch_size].double(), outputs, rtol=1e-4, atol=1e-5)
    gradients = torch.autograd.grad((outputs * toward.double()).sum(), list(exact.values()))
    by_name = dict(zip(exact, gradients, strict=True))
    expected = sparse.gathered(network, where, by_name), sparse.joined_biases(network, by_name)
    torch.testing.assert_close(tuple(one.double() for one in found), expected, rtol=1e-4, atol=1e-4)


def test_every_network_goes_its_own_way_and_its_bits_do_not_depend_on_others():
    arch, state = networks([0.3, 0.9, 0.1, 1.0])
    images = torch.randn(100, *SHAPE)
    assert sparse.mostly_pruned(arch, state, images).tolist() == [True, False, True, False]
    found = evaluation.all_outputs(arch, state, images, "running")
    for k in range(4):
        alone = {name: value[k : k + 1] for name, value in state.items()}
        assert torch.equal(evaluation.all_outputs(arch, alone, images, "running")[0], found[k])


@pytest.mark.parametrize(
    ("settings", "dtype"),
    [({"activation": "identity"}, torch.float32), ({"batchnorm": "before"}, torch.float32), ({}, torch.float64)],
)
def test_other_networks_are_left_to_the_module(settings, dtype):
    torch.manual_seed(0)
    arch = stack.architecture(models.build(Model(name="mlp", width=6, **({"batchnorm": "none"} | settings)), SHAPE, 4))
    state = {name: torch.zeros(2, *value.shape, dtype=dtype) for name, value in arch.training.state_dict().items()}
    assert not sparse.mostly_pruned(arch, state, torch.randn(3, *SHAPE, dtype=dtype)).any()


class Tripled(torch.nn.Sequential):
    def forward(self, x):
        return 3 * super().forward(x)


def tripled():
    return Tripled(torch.nn.Flatten(), torch.nn.Linear(105, 4))


def tied():
    layer, relu = torch.nn.Linear(105, 105), torch.nn.ReLU()
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(105, 105), relu, layer, relu, layer)


def without_bias():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(105, 4, bias=False))


def with_a_part():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Sequential(torch.nn.Linear(105, 4)))


def flattened_in_part():
    return torch.nn.Sequential(torch.nn.Flatten(2), torch.nn.Linear(35, 4))


@pytest.mark.parametrize("make", [tripled, tied, without_bias, with_a_part, flattened_in_part])
def test_what_only_looks_like_a_perceptron_is_none(make):
    """A user's own model may do anything between and after its layers."""
    arch = stack.architecture(make())
    assert sparse.perceptron(arch) is None
    state = {name: torch.zeros(2, *value.shape) for name, value in arch.training.named_parameters()}
    assert not sparse.mostly_pruned(arch, state, torch.randn(3, *SHAPE)).any()


def test_many_networks_take_fewer_images_at_a_time(monkeypatch):
    arch, state = networks([0.3, 0.1])
    images = torch.randn(300, *SHAPE)
    whole = sparse.outputs(arch, state, images)
    monkeypatch.setattr(sparse, "_MAPS", 1)
    assert torch.equal(sparse.outputs(arch, state, images), whole)


def test_no_network_has_no_outputs():
    arch, state = networks([0.3])
    none = {name: value[:0] for name, value in state.items()}
    assert evaluation.all_outputs(arch, none, torch.randn(3, *SHAPE), "running").shape == (0, 3, 4)


def test_what_is_left_is_scattered_to_where_it_was():
    arch, state = networks([0.3, 0.0, 1.0])
    network = sparse.perceptron(arch)
    where = sparse.sparsity(network, state)
    counts = torch.stack([state[name].count_nonzero(dim=(1, 2)) for name in network.weights]).sum(dim=0)
    assert torch.equal(where.starts[:, -1], counts.int())
    found = sparse.scattered(network, where, sparse.gathered(network, where, state))
    assert all(torch.equal(found[name], state[name]) for name in network.weights)
