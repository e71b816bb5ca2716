"""The landscape of a quadratic in closed form; of Song's network by the ordinary module, moved by hand."""

import copy
import dataclasses

import numpy as np
import pytest
import subjects
import torch
from torch import nn

from gengap import losses, registry, seeding
from gengap.engine import stack
from gengap.probes import landscape

SMALL = {"training": {"batch_size": 16}, "optimizer": {"lr": 0.3}}
LAYERS = {  # of Song's network, in the order in which they run, each with its BatchNorm
    "block1.conv1": "block1.bn1",
    "block1.conv2": "block1.bn2",
    "block1.shortcut": "block1.shortcut_bn",
    "block2.conv1": "block2.bn1",
    "block2.conv2": "block2.bn2",
    "block2.shortcut": "block2.shortcut_bn",
    "hidden.linear": "hidden.bn",
    "output": "",
}


def linear_regression(probe, batch_size=16):
    """Two linear networks with squared loss: L = 1/B sum (w.x + b - y)^2, a quadratic of the weights."""
    settings = {"loss": {"name": "squared"}, "training": {"batch_size": batch_size}}
    made = subjects.subject({"name": "landscape", **probe}, settings, shape=(1, 2, 2))
    arch = stack.architecture(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)))
    generator = torch.Generator().manual_seed(1)
    shapes = {"1.weight": (2, 1, 4), "1.bias": (2, 1)}
    state = {name: torch.randn(*size, generator=generator, dtype=torch.float64) for name, size in shapes.items()}
    return dataclasses.replace(made, arch=arch, state=state, start=state)


def quadratic(made, place, index):
    """Weights, gradient and Hessian of one network's loss on one batch, and the loss as a function of the weights."""
    x, y = made.train_images[index].flatten(1), made.train_targets[index].double()
    x = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    theta = torch.cat([made.state["1.weight"][place, 0], made.state["1.bias"][place]])
    hessian = 2 * x.mT @ x / len(x)
    return theta, 2 * x.mT @ (x @ theta - y) / len(x), hessian, lambda theta: (x @ theta - y).square().mean()


def batches(made, place, draws):
    stream = seeding.stream(made.cells[place].seed, seeding.PROBE)
    return [stream.choice(len(made.train_images), 16, replace=False) for _ in range(draws)]


def test_a_quadratic_in_closed_form():
    """With s = -a g the gradient changes by a |H g|, and beta is |H g| / |g| at every length."""
    made = linear_regression({"draws": 3, "points": 4})
    found = subjects.by_name(landscape.measure(made))
    lengths = torch.tensor([0.01 * 40 ** (i / 3) for i in range(4)], dtype=torch.float64)
    torch.testing.assert_close(found["gradient_step", ""], lengths.expand(2, 4))
    for place in range(2):
        beta, change, curve = [], [], []
        for index in batches(made, place, 3):
            theta, gradient, hessian, loss = quadratic(made, place, index)
            beta.append((hessian @ gradient).norm() / gradient.norm())
            change.append(lengths * (hessian @ gradient).norm())
            curve.append(torch.stack([loss(theta - a * gradient) for a in lengths]))
        expected = {
            "effective_smoothness": torch.stack(beta),
            "largest_gradient_change": torch.stack(change)[:, -1],
            "lowest_loss_along_gradient": torch.stack(curve).amin(dim=1),
            "highest_loss_along_gradient": torch.stack(curve).amax(dim=1),
        }
        for name, values in expected.items():
            assert found[name, ""][place].item() == pytest.approx(values.mean().item(), rel=1e-9), name
            error = np.std(values.tolist(), ddof=1) / 3**0.5
            assert found[f"{name}_standard_error", ""][place].item() == pytest.approx(error, rel=1e-6), name
        torch.testing.assert_close(found["gradient_change", ""][place], torch.stack(change).mean(dim=0))
        torch.testing.assert_close(found["loss_along_gradient", ""][place], torch.stack(curve).mean(dim=0))


@pytest.mark.parametrize("size", ["full", 40, 1000])
def test_a_batch_of_all_samples_is_one_draw_without_a_standard_error(size):
    made = linear_regression({"draws": 3}, batch_size=size)
    found = subjects.by_name(landscape.measure(made))
    assert not [name for name, _ in found if name.endswith("standard_error")]
    _, gradient, hessian, _ = quadratic(made, 1, np.arange(40))
    beta = (hessian @ gradient).norm() / gradient.norm()
    assert found["effective_smoothness", ""][1].item() == pytest.approx(beta.item(), rel=1e-9)


def gradients(network, images, targets, loss):
    value = losses.sample_losses(loss)(network(images), targets).mean()
    found = torch.autograd.grad(value, list(network.parameters()))
    return value.item(), dict(zip(dict(network.named_parameters()), found, strict=True))


def moved(network, gradient, length, modules=("",)):
    """A copy with the parameters of these modules one step along the gradient."""
    network = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if any(not module or name.startswith(f"{module}.") for module in modules):
                parameter -= length * gradient[name]
    return network


@pytest.mark.parametrize("batchnorm", ["running", "batch", "exact"])
def test_songs_network_by_hand(batchnorm):
    """In mode `batch` the statistics follow the step; in the others they stay."""
    made = subjects.subject({"name": "landscape", "draws": 1, "points": 3, "batchnorm": batchnorm}, SMALL)
    found = subjects.by_name(landscape.measure(made))
    for place in range(2):
        network, index = subjects.one_network(made, place), batches(made, place, 1)[0]
        batch = made.train_images[index], made.train_targets[index], made.loss
        _, g = gradients(network, *batch)
        size = torch.stack([value.square().sum() for value in g.values()]).sum().sqrt()
        changes, curve = [], []
        for a in (0.01, 0.01 * 40**0.5, 0.4):
            loss, there = gradients(moved(network, g, a), *batch)
            curve.append(loss)
            changes.append(torch.stack([(there[name] - g[name]).square().sum() for name in g]).sum().sqrt().item())
        assert found["loss_along_gradient", ""][place].tolist() == pytest.approx(curve, rel=1e-9)
        assert found["gradient_change", ""][place].tolist() == pytest.approx(changes, rel=1e-7)
        beta = max(change / (a * size.item()) for change, a in zip(changes, (0.01, 0.01 * 40**0.5, 0.4), strict=True))
        assert found["effective_smoothness", ""][place].item() == pytest.approx(beta, rel=1e-7)
        before = []
        for layer, norm in LAYERS.items():
            _, after = gradients(moved(network, g, 0.3, before), *batch) if before else (0, g)
            old, new = g[f"{layer}.weight"].flatten(), after[f"{layer}.weight"].flatten()
            shift = found["covariate_shift", layer][place].item()
            assert shift == pytest.approx((new - old).norm().item(), rel=1e-7, abs=1e-14), layer
            cosine = torch.nn.functional.cosine_similarity(new, old, dim=0, eps=0).item()
            assert found["covariate_shift_cosine", layer][place].item() == pytest.approx(cosine, rel=1e-9), layer
            before += [layer, norm] if norm else [layer]
        assert found["covariate_shift", "block1.conv1"][place].item() == 0


def test_the_pack_changes_no_bit():
    both = landscape.measure(subjects.subject({"name": "landscape"}, SMALL))
    made = subjects.subject({"name": "landscape"}, SMALL)
    state = {name: value[1:] for name, value in made.state.items()}
    alone = landscape.measure(dataclasses.replace(made, state=state, cells=made.cells[1:]))
    for together, single in zip(both, alone, strict=True):
        assert together.values[1:].tolist() == single.values.tolist(), together.quantity


@pytest.mark.parametrize("name", sorted(registry.REGISTRY["model"]))
@pytest.mark.parametrize("batchnorm", ["batch", pytest.param("exact", marks=pytest.mark.thorough)])
def test_every_model_has_a_landscape(name, batchnorm):
    settings = {"model": {"name": name, "width": 2}, "training": {"batch_size": 5}}
    probe = {"name": "landscape", "draws": 1, "points": 2, "batchnorm": batchnorm}
    made = subjects.subject(probe, settings, seeds=(0,), shape=(3, 32, 32), n_train=6, n_test=2)
    found = subjects.by_name(landscape.measure(made))
    index = seeding.stream(0, seeding.PROBE).choice(6, 5, replace=False)
    network, batch = subjects.one_network(made, 0), (made.train_images[index], made.train_targets[index], made.loss)
    for module in network.modules():
        module.training = batchnorm == "batch" and isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
    _, gradient = gradients(network, *batch)
    curve = [gradients(moved(network, gradient, a), *batch)[0] for a in (0.01, 0.4)]
    assert found["loss_along_gradient", ""][0].tolist() == pytest.approx(curve, rel=1e-7)
    assert {layer for quantity, layer in found if quantity == "covariate_shift"} == set(made.arch.layers)
