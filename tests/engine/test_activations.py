"""Captured activations against a plain module that is cut open by hand."""

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from gengap import models
from gengap.engine import stack
from gengap.engine.activations import activation_names, activations, activations_of_one
from gengap.studies.settings import Cell

CELLS = tuple(Cell.model_validate({"model": {"width": 3}, "seed": seed}) for seed in (0, 1))


def song():
    arch = stack.architecture(models.build(CELLS[0].model, (3, 8, 8), 2))
    state = stack.initial_state(CELLS, (3, 8, 8), 2, dtype=torch.float64, device=torch.device("cpu"))
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return arch, state, images


def ordinary(state, place):
    network = models.build(CELLS[0].model, (3, 8, 8), 2).double().eval()
    network.load_state_dict({name: value[place] for name, value in state.items()}, strict=False)
    return network


def hooks(network):
    return [hook for module in network.modules() for hook in module._forward_hooks.values()]


def test_they_are_the_relus_in_order_and_the_logits():
    arch, state, images = song()
    found = activations(arch.evaluation, state, images)
    assert list(found) == ["block1.relu1", "block1.relu2", "block2.relu1", "block2.relu2", "hidden.relu", "output"]
    for place in (0, 1):
        network = ordinary(state, place)
        block1, block2 = network.block1, network.block2
        with torch.no_grad():
            first = block1(images)
            inner = torch.relu(block2.bn1(block2.conv1(first)))
            second = torch.relu(block2.bn2(block2.conv2(inner)) + block2.shortcut_bn(block2.shortcut(first)))
            hidden = network.hidden(second.flatten(1))
            expected = {
                "block1.relu2": first,
                "block2.relu1": inner,
                "block2.relu2": second,
                "hidden.relu": hidden,
                "output": network(images),
            }
        for name, value in expected.items():
            torch.testing.assert_close(found[name][place], value, rtol=1e-12, atol=1e-12)


def test_named_modules_alone_and_nothing_left_behind():
    arch, state, images = song()
    before = set(hooks(arch.evaluation))
    found = activations(arch.evaluation, state, images, ["block2.conv1"])
    assert list(found) == ["block2.conv1", "output"]
    assert found["block2.conv1"].shape == (2, 6, 3, 2, 2)
    with pytest.raises(ValueError, match="no module 'block9'"):
        activations(arch.evaluation, state, images, ["block9"])
    with pytest.raises(RuntimeError):
        activations(arch.evaluation, state, images[:, :1])
    assert set(hooks(arch.evaluation)) == before == set()


def test_batch_statistics():
    arch, state, images = song()
    found = activations(arch.training, state, images, ["block1.bn1"])["block1.bn1"]
    torch.testing.assert_close(found.mean(dim=(1, 3, 4)), torch.zeros(2, 3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_gradients_flow_through():
    """d/dW of the summed hidden units, against autograd on the ordinary module."""
    arch, state, images = song()

    def total(one):
        return activations_of_one(arch.evaluation, ["hidden.relu"], one, images)["hidden.relu"].sum()

    found = vmap(grad(total))(state)["block1.conv1.weight"]
    for place in (0, 1):
        network = ordinary(state, place)
        network.hidden(network.block2(network.block1(images)).flatten(1)).sum().backward()
        torch.testing.assert_close(found[place], network.block1.conv1.weight.grad, rtol=1e-10, atol=1e-10)


class Shared(nn.Module):
    """One ReLU in two places, one in none."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.relu, self.idle = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        return self.relu(self.linear(self.relu(x.flatten(1))))


def test_modules_that_do_not_run_exactly_once_are_refused():
    arch = stack.architecture(Shared())
    state = {name: torch.ones(1, *value.shape) for name, value in arch.evaluation.named_parameters()}
    images = torch.ones(4, 2, 1, 1)
    with pytest.raises(ValueError, match="'relu' runs more than once"):
        activations(arch.evaluation, state, images, ["relu"])
    with pytest.raises(ValueError, match="'idle' does not run"):
        activations(arch.evaluation, state, images, ["idle"])


def test_linear_activations_stand_where_the_relus_would():
    settings = {"name": "mlp", "width": 3, "depth": 2, "batchnorm": "before"}
    relu, linear = (
        activation_names(
            models.build(Cell.model_validate({"model": {**settings, "activation": kind}}).model, (1, 4, 4), 2)
        )
        for kind in ("relu", "identity")
    )
    assert len(relu) == 2
    assert linear == tuple(name.replace("relu", "identity") for name in relu)
