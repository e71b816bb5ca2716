"""Balanced starts: equal gradients by an independent autograd, the same function, He's draws, and what is refused."""

import logging
import math

import pytest
import torch
from subjects import subject
from torch import nn

from gengap import inits, losses, models
from gengap.engine import stack
from gengap.engine.evaluation import initialization
from gengap.errors import UserError
from gengap.inits import Drawn, balanced
from gengap.probes import layer_reset
from gengap.studies.settings import Cell, Init

RULES = ("geo", "out", "max", "min")
MODELS = {
    "song": {"width": 4},
    "song, flat": {"width": 4, "head": "linear"},
    "mlp, before": {"name": "mlp", "width": 8, "depth": 3, "batchnorm": "before"},
    "mlp, after": {"name": "mlp", "width": 8, "depth": 3, "batchnorm": "after"},
    "lenet": {"name": "lenet", "width": 2, "batchnorm": "before"},
    "vgg": {"name": "vgg", "width": 2, "depth": 11},
    "resnet": {"name": "resnet", "width": 2, "depth": 8},
}
SHAPE = (3, 32, 32)
CROSS = {"name": "cross_entropy"}


def cells_of(init, model, seeds=(0,), **sections):
    content = {"model": model, "init": init, "loss": CROSS, "training": {"dtype": "float64"}, **sections}
    return [Cell.model_validate(content | {"seed": seed}) for seed in seeds]


def data(shape=SHAPE, n=100, n_classes=3):
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
    return images, torch.randint(n_classes, (n,), generator=generator)


def started(cells, images, targets, n_outputs=3):
    arch = stack.architecture(models.build(cells[0].model, tuple(images.shape[1:]), n_outputs))
    return initialization.start(arch, cells, images, targets, n_outputs)


def network_of(cell, state, place, shape, n_outputs=3):
    network = models.build(cell.model, shape, n_outputs).double()
    network.load_state_dict({name: value[place] for name, value in state.items()}, strict=False)
    return network.train()


def norms_and_outputs(cell, state, place, images, targets):
    """By plain PyTorch, all images as one batch: the layers' gradient norms; the outputs without eps."""
    network = network_of(cell, state, place, tuple(images.shape[1:]))
    losses.sample_losses(cell.loss)(network(images), targets).mean().backward()
    layers = inits.weight_layers(network)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.eps = 1e-30
    with torch.no_grad():
        return {name: layer.weight.grad.norm().item() for name, layer in layers}, network(images)


@pytest.mark.parametrize("model", MODELS)
def test_hidden_gradients_are_equal_and_the_function_is_the_same(model):
    images, targets = data(n=24)
    drawn, outputs = norms_and_outputs(*_one("he", MODELS[model], images, targets))
    *hidden, output = drawn
    assert max(drawn[name] for name in hidden) / min(drawn[name] for name in hidden) > 1.5
    before = [drawn[name] for name in hidden]
    expected = {"geo": math.exp(sum(map(math.log, before)) / len(before)), "out": drawn[output]}
    expected |= {"max": max(before), "min": min(before)}
    for rule in RULES:
        after, found = norms_and_outputs(*_one(f"balanced:{rule}", MODELS[model], images, targets))
        assert [after[name] for name in hidden] == pytest.approx([expected[rule]] * len(hidden), rel=0.01)
        assert after[output] == pytest.approx(drawn[output], rel=0.05)  # moved by eps alone
        torch.testing.assert_close(found, outputs, rtol=1e-6, atol=1e-9)


def _one(init, model, images, targets):
    cells = cells_of(init, model)
    return cells[0], started(cells, images, targets), 0, images, targets


@pytest.mark.parametrize("model", ["song", "song, flat", "mlp, before", "lenet", "resnet"])
def test_with_gamma_the_output_layer_matches_too(model):
    images, targets = data(n=24)
    cell, state, *rest = _one("balanced:geo+gamma", MODELS[model], images, targets)
    after, _ = norms_and_outputs(cell, state, *rest)
    assert max(after.values()) / min(after.values()) < 1.01
    drawn, _ = norms_and_outputs(*_one("he", MODELS[model], images, targets))
    target = math.exp(sum(math.log(norm) for norm in list(drawn.values())[:-1]) / (len(drawn) - 1))
    assert after["output"] == pytest.approx(target, rel=0.01)


def test_draws_are_he_s_times_one_number_per_layer():
    images, targets = data(n=24)
    he = started(cells_of("he", MODELS["song"], seeds=(0, 1)), images, targets)
    for rule in (*RULES, "geo+gamma"):
        own = started(cells_of(f"balanced:{rule}", MODELS["song"], seeds=(0, 1)), images, targets)
        for name, value in own.items():
            ratio = (value / he[name])[he[name] != 0].reshape(2, -1) if he[name].any() else torch.ones(2, 1)
            assert (value == 0).equal(he[name] == 0), name
            torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-12, atol=0)
            if not name.endswith(("weight", "running_var")) or name == "output.weight":
                assert torch.equal(value, he[name]), name


def test_neither_the_pack_nor_the_batch_size_changes_a_bit_and_other_inits_stay():
    images, targets = data((3, 8, 8))
    names = ("he", "balanced:geo", "xavier", "balanced:geo+gamma")
    float32 = {"training": {"dtype": "float32"}}
    mixed = [cells_of(name, {"width": 4}, (seed,), **float32)[0] for seed in (0, 1) for name in names]
    together = started(mixed, images.float(), targets)
    plain = stack.initial_state(mixed, (3, 8, 8), 3, dtype=torch.float32, device=torch.device("cpu"))
    for place, cell in enumerate(mixed):
        other = cell.model_copy(update={"training": cell.training.model_copy(update={"batch_size": "full"})})
        alone = started([other], images.float(), targets)
        for name, value in together.items():
            assert torch.equal(value[place], alone[name][0])
            assert torch.equal(value[place], plain[name][place]) or cell.init.name.startswith("balanced")


@pytest.mark.parametrize("model", ["song", "mlp, after", "resnet"])
def test_in_evaluation_mode_the_function_is_he_s_too(model):
    images, targets = data(n=24)
    outputs = []
    for init in ("he", "balanced:min"):
        cell, state, *_ = _one(init, MODELS[model], images, targets)
        network = network_of(cell, state, 0, SHAPE).eval()
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.eps = 1e-30
        outputs.append(network(images).detach())
    torch.testing.assert_close(*outputs, rtol=1e-6, atol=1e-9)


def test_only_the_first_samples_are_read(monkeypatch):
    monkeypatch.setattr(initialization, "SAMPLES", 60)
    images, targets = data((3, 8, 8))
    cells = cells_of("balanced:geo", {"width": 2})
    few = started(cells, images[: initialization.SAMPLES], targets[: initialization.SAMPLES])
    for name, value in started(cells, images, targets).items():
        assert torch.equal(value, few[name])


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        ({"name": "mlp", "width": 4}, "linear1"),
        ({"name": "lenet", "width": 2}, "conv1"),
        ({"name": "wide_resnet", "width": 4, "depth": 10}, "stage1.0.shortcut"),
    ],
)
def test_a_hidden_layer_without_batchnorm_is_refused(model, layer):
    images, targets = data(n=4)
    with pytest.raises(UserError, match=rf"init.name: 'balanced:geo' needs BatchNorm.*'{model['name']}'.*'{layer}'"):
        started(cells_of("balanced:geo", model), images, targets)


def drawn_by_hand(init, sizes, output_power=1.0):
    """Layers of one weight each whose gradients are ``size gamma / w``; the output layer's is size gamma^power."""
    names = [*(f"layer{place}" for place in range(len(sizes) - 1)), "output"]
    state = {f"{name}.weight": torch.tensor([1.0], dtype=torch.float64) for name in [*names, "bn"]}

    def gradient(now):
        gamma = now["bn.weight"]
        found = {
            f"{n}.weight": size * gamma / now[f"{n}.weight"] for n, size in zip(names[:-1], sizes[:-1], strict=True)
        }
        return found | {"output.weight": sizes[-1] * gamma**output_power}

    return Drawn(Init(name=init), "made_up", 7, state, gradient, tuple(names), dict.fromkeys(names[:-1], ()), ("bn",))


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_gamma_converges_however_steep_the_output_gradient_is(power):
    drawn = drawn_by_hand("balanced:geo+gamma", [1.0, 4.0, 50.0], power)
    state = balanced.adjust(drawn)
    assert [value.item() for value in drawn.gradient(state).values()] == pytest.approx([2.0] * 3, rel=1e-3)
    assert state["bn.weight"].item() == pytest.approx((2 / 50) ** (1 / power), rel=1e-3)


def test_a_layer_without_a_gradient_stays_and_is_warned_of(caplog):
    drawn = drawn_by_hand("balanced:max", [1.0, 0.0, 4.0, 9.0])
    with caplog.at_level(logging.WARNING):
        state = balanced.adjust(drawn)
    assert [state[f"layer{place}.weight"].item() for place in range(3)] == [pytest.approx(0.25), 1.0, 1.0]
    assert "'balanced:max', seed 7: no gradient in layer1, left as drawn" in caplog.text


def test_a_dead_network_stays_as_he_drew_it(caplog):
    drawn = drawn_by_hand("balanced:out", [0.0, 0.0, 0.0])
    with caplog.at_level(logging.WARNING):
        assert balanced.adjust(drawn) == drawn.state
    assert "layer0, layer1, output" in caplog.text


def test_what_cannot_be_reached_is_warned_of(caplog):
    drawn = drawn_by_hand("balanced:geo+gamma", [1.0, 4.0, 50.0], output_power=0.0)
    with caplog.at_level(logging.WARNING):
        balanced.adjust(drawn)
    assert "seed 7: the gradients' ratio is still 125" in caplog.text


def test_layers_are_redrawn_from_the_balanced_start():
    made = subject({}, {"init": "balanced:geo"}, seeds=(3,))
    fresh = layer_reset.fresh(made, draw=0)
    he = layer_reset.fresh(subject({}, {"init": "he"}, seeds=(3,)), draw=0)
    ratio = fresh["block1.conv1.weight"] / he["block1.conv1.weight"]
    assert ratio.max().item() == pytest.approx(ratio.min().item(), rel=1e-9)
    assert abs(ratio.mean().item() - 1) > 0.01
