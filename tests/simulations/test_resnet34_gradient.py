"""ResNet-34's layer gradients: against a plain loop, finite differences and published sizes."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from gengap import simulations
from gengap.errors import UserError
from gengap.files import storage
from gengap.simulations.resnet34_gradient import batch, gradient_norms, network, numbers_per_draw, simulate
from gengap.studies.simulation import Point

CPU = torch.device("cpu")
VARIANTS = [(norm, block) for norm in ("batchnorm", "none") for block in ("residual", "plain")]


def point(norm="batchnorm", block="residual", **settings):
    return Point(simulation="resnet34_gradient", norm=norm, block=block, **{"batch_size": 2, **settings})


def plain_loop(weights, images, *, norm, residual):
    """The logits, written down layer by layer; BatchNorm from its definition."""

    def normalised(x):
        if not norm:
            return x
        centred = x - x.mean(dim=(0, 2, 3), keepdim=True)
        return centred / (centred.square().mean(dim=(0, 2, 3), keepdim=True) + 1e-5).sqrt()

    x = normalised(functional.conv2d(images, weights["conv1"], padding=1)).clamp(min=0)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for at in range(blocks):
            name, stride = f"layer{stage}.{at}", 2 if stage > 1 and at == 0 else 1
            inner = normalised(functional.conv2d(x, weights[f"{name}.conv1"], stride=stride, padding=1)).clamp(min=0)
            out = normalised(functional.conv2d(inner, weights[f"{name}.conv2"], padding=1))
            if residual:
                skip = weights.get(f"{name}.downsample.0")
                out = out + (x if skip is None else normalised(functional.conv2d(x, skip, stride=stride)))
            x = out.clamp(min=0)
    return x.mean(dim=(2, 3)) @ weights["fc"].T


@pytest.mark.parametrize(
    ("norm", "block"), [VARIANTS[0], *(pytest.param(*one, marks=pytest.mark.thorough) for one in VARIANTS[1:])]
)
def test_gradients_are_those_of_a_plain_loop(norm, block):
    here = point(norm, block)
    found = gradient_norms(network(here, 3), *batch(here, 3, None))
    made = network(here, 3)
    weights = {name: made.get_submodule(name).weight.detach().requires_grad_() for name in found}
    images, labels = batch(here, 3, None)
    logits = plain_loop(weights, images, norm=norm == "batchnorm", residual=block == "residual")
    (logits.logsumexp(dim=1) - logits[torch.arange(2), labels]).mean().backward()
    for name, weight in weights.items():
        assert float(found[name]) == pytest.approx(float(weight.grad.norm()), rel=1e-8), name
    assert len(found) == (37 if block == "residual" else 34)


def test_finite_differences_along_a_layers_gradient():
    """There the loss's derivative is the gradient's squared norm."""
    here = point()
    images, labels = batch(here, 0, None)
    made = network(here, 0)
    weight = made.get_submodule("layer3.2.conv1").weight
    (gradient,) = torch.autograd.grad(functional.cross_entropy(made(images), labels), [weight])
    ends = []
    with torch.no_grad():
        for step in (1e-7, -2e-7):
            weight += step * gradient
            ends.append(float(functional.cross_entropy(made(images), labels)))
    expected = math.sqrt((ends[0] - ends[1]) / 2e-7)
    found = simulate(here, [0], CPU, None)["layer_gradient_norm"]["layer3.2.conv1"]
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_parameters_are_those_of_the_published_network():
    """21,797,672 for ImageNet (He et al. 2016; torchvision), whose stem is 7 x 7 and has a thousand outputs."""
    counts = {variant: sum(p.numel() for p in network(point(*variant), 0).parameters()) for variant in VARIANTS}
    published = 21_797_672 - 64 * 3 * (7 * 7 - 3 * 3) - (1000 - 10) * 513
    assert counts["batchnorm", "residual"] == published == 21_282_122
    shortcuts = 64 * 128 + 128 * 256 + 256 * 512
    assert counts["batchnorm", "plain"] == published - shortcuts - 2 * (128 + 256 + 512)
    channels = 64 + 6 * 64 + 8 * 128 + 12 * 256 + 6 * 512 + (128 + 256 + 512)
    assert counts["none", "residual"] == published - 2 * channels
    assert counts["none", "plain"] == published - 2 * channels - shortcuts


def test_weights_are_he_and_the_same_in_every_variant():
    drawn = {variant: dict(network(point(*variant), 5).named_parameters()) for variant in VARIANTS}
    standard = drawn["batchnorm", "residual"]
    for variant, parameters in drawn.items():
        for name, value in parameters.items():
            assert value.dtype == torch.float64
            torch.testing.assert_close(value, standard[name], rtol=0, atol=0, msg=f"{variant} {name}")
    for name in ("conv1", "layer4.2.conv2", "layer2.0.downsample.0", "fc"):
        weight = standard[f"{name}.weight"]
        assert float(weight.detach().var()) * weight[0].numel() == pytest.approx(2, rel=0.1)
    assert float(standard["fc.bias"].detach().abs().max()) == 0
    other = network(point(), 6).conv1.weight
    assert not torch.equal(other, standard["conv1.weight"])


def test_the_ratio_leaves_the_shortcuts_out():
    found = simulate(point("none"), [1, 2], CPU, None)
    norms = {name: values.numpy() for name, values in found["layer_gradient_norm"].items()}
    along = np.stack([values for name, values in norms.items() if "downsample" not in name])
    assert len(norms) - len(along) == 3
    np.testing.assert_allclose(found["gradient_ratio"].numpy(), along.max(axis=0) / along.min(axis=0), rtol=1e-14)


def test_a_draw_does_not_depend_on_the_others():
    together = simulate(point(), [0, 4], CPU, None)
    alone = simulate(point(), [4], CPU, None)
    assert together["gradient_ratio"][1] == alone["gradient_ratio"][0]
    assert together["gradient_ratio"][0] != alone["gradient_ratio"][0]


@pytest.mark.thorough
def test_without_batchnorm_skips_raise_the_variance_block_by_block():
    """Every block of ours adds a He layer's variance to its input's, so R grows; the plain network keeps variances."""
    draws = range(2)
    ratios = {block: simulate(point("none", block, batch_size=4), draws, CPU, None) for block in ("residual", "plain")}
    gradients = {block: found["layer_gradient_norm"]["layer4.2.conv2"] for block, found in ratios.items()}
    assert (gradients["residual"] > 100 * gradients["plain"]).all()


@pytest.fixture
def prepared(tmp_path):
    """Images of which every pixel tells the image's number, and so the label."""

    def write(n=9, shape=(3, 32, 32), classes=10):
        path = tmp_path / "prepared.h5"
        numbers = np.arange(n, dtype=np.float32)
        with storage.writing(path, "prepared", {}) as file:
            storage.write_array(file, "train_images", np.broadcast_to(numbers[:, None, None, None], (n, *shape)).copy())
            storage.write_array(file, "train_labels", np.arange(n) % classes)
        return path

    return write


def test_images_are_drawn_with_their_labels_and_never_twice(prepared):
    path = prepared()
    here = point(dataset="cifar10", batch_size=8)
    images, labels = batch(here, 0, path)
    assert (images.dtype, images.shape) == (torch.float64, (8, 3, 32, 32))
    numbers = images[:, 0, 0, 0].long()
    assert len(set(numbers.tolist())) == 8
    assert torch.equal(numbers, labels)
    assert torch.equal(batch(here, 0, path)[0], images)
    assert any(not torch.equal(batch(here, seed, path)[0], images) for seed in range(1, 6))


def test_normal_pixels_and_uniform_labels():
    images, labels = batch(point(batch_size=256), 0, None)
    assert float(images.mean()) == pytest.approx(0, abs=5 / math.sqrt(images.numel()))
    assert float(images.var()) == pytest.approx(1, rel=5 * math.sqrt(2 / images.numel()))
    assert set(labels.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("data", "words"),
    [({"n": 7}, "7 training images"), ({"shape": (3, 8, 8)}, "8, 8"), ({"classes": 100, "n": 20}, "more than 10")],
)
def test_data_that_do_not_fit_are_refused(prepared, data, words):
    size = data.get("n", 8) if "classes" in data else 8
    with pytest.raises(UserError, match=rf"dataset: 'cifar100' has .*{words}.* Choose cifar10"):
        batch(point(dataset="cifar100", batch_size=size), 0, prepared(**data))


@pytest.mark.thorough
def test_a_draw_alone_in_memory_and_layers_in_the_file(tmp_path, prepared):
    here = point(dataset="cifar10", seeds=(0, 1))
    assert numbers_per_draw(here) > 2 * sum(p.numel() for p in network(here, 0).parameters()) - 2e6
    simulations.simulate_point("base", here, tmp_path / "draws.h5", prepared=prepared(), device="cpu")
    with storage.reading(tmp_path / "draws.h5", "draws") as file:
        rows = storage.read_table(file, "measurements")
    assert set(rows["batchnorm"]) == {"batch"}
    norms = rows[rows["quantity"] == "layer_gradient_norm"]
    assert norms.groupby("cell").size().tolist() == [37, 37]
    assert list(norms["layer"].unique())[:2] == ["conv1", "layer1.0.conv1"]
    assert rows[rows["quantity"] == "gradient_ratio"]["layer"].tolist() == ["", ""]
