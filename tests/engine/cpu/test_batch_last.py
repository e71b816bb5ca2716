"""Our own kernels against PyTorch's operators in float64, alone and through a training step."""

import pytest
import torch
from torch import nn
from torch.func import grad, vmap
from torch.nn import functional

from gengap import models
from gengap.engine import stack
from gengap.engine.cpu import operators
from gengap.engine.cpu.batch_last import BatchLastConv2d, batch_last, gather_batches
from gengap.engine.layers.batchnorm import convert
from gengap.studies.settings import Cell
from gengap.training import compilation, pack_state
from gengap.training.cell_result import CellResult
from gengap.training.optimizers import stacked_settings
from gengap.training.step import StepInputs, make_step

pytestmark = pytest.mark.skipif(not operators.supports_batch(torch.zeros(16, 1)), reason="no C++ compiler")

# in, out, side, kernel, stride, padding, dilation, samples
CONVOLUTIONS = [
    (3, 4, 8, 3, 2, 1, 1, 128),
    (4, 4, 4, 3, 1, 1, 1, 16),
    (3, 9, 8, 1, 2, 0, 1, 48),
    (5, 17, 7, 3, 2, 1, 1, 80),
    (1, 6, 9, 5, 1, 0, 1, 32),
    (2, 3, 9, 3, 1, 2, 2, 32),
    (8, 16, 1, 1, 1, 0, 1, 64),
    # Several blocks of samples, and one that is not whole.
    (1, 6, 9, 5, 1, 0, 1, 272),
    (6, 13, 5, 3, 2, 1, 1, 400),
    (70, 9, 1, 1, 1, 0, 1, 2064),
    (2, 3, 1, 3, 1, 1, 1, 1040),
]


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_near(found, expected):
    """Within float32's rounding of sums of some thousand terms."""
    assert found.dtype == torch.float32
    scale = expected.abs().max().item() + 1e-30
    assert (found.double() - expected).abs().max().item() < 2e-5 * scale


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_convolution_and_its_gradients(case, with_bias):
    channels, made, side, kernel, stride, padding, dilation, samples = case
    x, weight, bias = (
        random(2, samples, channels, side, side, seed=0),
        random(2, made, channels, kernel, kernel, seed=1),
        random(2, made, seed=2),
    )

    def loss(conv):
        def of_one(x, weight, bias):
            y = conv(x, weight, bias if with_bias else None, stride, padding, dilation)
            return (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sin().sum(), y

        return vmap(grad(of_one, argnums=(0, 1, 2), has_aux=True))

    expected, y_expected = loss(functional.conv2d)(x, weight, bias)
    found, y = loss(operators.conv2d)(x.float(), weight.float(), bias.float())
    assert_near(y, y_expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert_near(ours, theirs)


def test_convolution_of_nothing_and_of_infinity():
    x, weight = torch.zeros(16, 1, 3, 3), torch.ones(4, 1, 3, 3)
    assert torch.equal(operators.conv2d(x, weight, None, 1, 1, 1), torch.zeros(16, 4, 3, 3))
    x[3, 0, 0, 0] = float("inf")
    y = operators.conv2d(x, weight, None, 1, 1, 1)
    assert y[3, 0, 0, 0].isinf()
    assert (y.isinf() == functional.conv2d(x, weight, padding=1).isinf()).all()
    x[3, 0, 0, 1] = float("-inf")
    assert operators.conv2d(x, weight, None, 1, 1, 1)[3, 0, 0, 0].isnan()


@pytest.mark.parametrize("shape", [(32, 5, 4, 4), (48, 3, 1, 1)], ids=str)
def test_batchnorm_and_its_gradients(shape):
    x, scale, shift = 3 + random(2, *shape, seed=0), random(2, shape[1], seed=1), random(2, shape[1], seed=2)

    def reference(x, scale, shift, eps):
        y = functional.batch_norm(x, None, None, scale, shift, training=True, eps=eps)
        return y, x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)

    def loss(normalise):
        def of_one(x, scale, shift):
            y, *statistics = normalise(x, scale, shift, 1e-5)
            return (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sin().sum(), (y, *statistics)

        return vmap(grad(of_one, argnums=(0, 1, 2), has_aux=True))

    expected, found = (
        loss(reference)(x, scale, shift),
        loss(operators.batch_norm)(x.float(), scale.float(), shift.float()),
    )
    for ours, theirs in zip((*found[0], *found[1]), (*expected[0], *expected[1]), strict=True):
        assert_near(ours, theirs)


def test_gathered_is_indexing():
    network = batch_last(nn.Sequential(nn.Conv2d(3, 4, 3)))
    images, index = torch.randn(40, 3, 5, 6), torch.randint(40, (3, 32))
    assert torch.equal(gather_batches(network, images, index), images[index])
    assert torch.equal(gather_batches(network, images, index[:, :7]), images[index[:, :7]])


def test_only_known_layers_are_converted():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, stride=(1, 2)))
    found = [isinstance(layer, BatchLastConv2d) for layer in batch_last(network)]
    assert found == [True, False, False]
    assert not any(isinstance(layer, BatchLastConv2d) for layer in network)  # a copy is converted
    without = nn.Sequential(nn.Linear(3, 2))
    assert batch_last(without) is without


@pytest.mark.parametrize(("dtype", "samples"), [(torch.float64, 32), (torch.float32, 30)], ids=str)
def test_other_batches_and_types_run_as_always(dtype, samples):
    plain = convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))).to(dtype)
    x = torch.randn(samples, 3, 4, 4, dtype=dtype)
    assert torch.equal(batch_last(plain)(x), plain(x))


def two_steps(model, image_shape, dtype, *, of=slice(None), threads=1, compiled=False):
    """States of networks 0 to 2, or some of them, after two steps on 96 of 120 images."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    cells = [Cell.model_validate({"model": model, "seed": seed}) for seed in range(3)]
    arch = stack.architecture(models.build(cells[0].model, image_shape, 1))
    state = stack.initial_state(cells, image_shape, 1, dtype=dtype, device=torch.device("cpu"))
    images, targets = random(120, *image_shape, seed=0).to(dtype), random(120, seed=1).sign().to(dtype)
    generator = torch.Generator().manual_seed(2)
    index = torch.stack([torch.randperm(120, generator=generator)[:96] for _ in cells])[of]
    cells, state = cells[of], stack.take(state, of)
    networks = pack_state.start([CellResult("", cell, "", 0) for cell in cells], arch, state).networks
    inputs = StepInputs(index, stacked_settings(cells, dtype=dtype, device=torch.device("cpu")), {}, {})
    step = make_step(arch, cells[0])
    step = compilation.compiled(step, torch.device("cpu")) if compiled else step
    for _ in range(2):
        networks, loss = step(networks, images, targets, inputs)
    torch.set_num_threads(before)
    return {**networks.parameters, **networks.buffers, "loss": loss}


MODELS = [({"width": 5}, (3, 8, 8)), ({"name": "lenet"}, (1, 28, 28))]


@pytest.mark.parametrize(("model", "image_shape"), MODELS, ids=str)
def test_steps_match_float64(model, image_shape, monkeypatch):
    expected = two_steps(model, image_shape, torch.float64)
    found = two_steps(model, image_shape, torch.float32)
    monkeypatch.setattr(operators, "available", lambda: False)
    plain = two_steps(model, image_shape, torch.float32)
    for name, value in expected.items():
        ours, theirs = (found[name] - value).abs().max(), (plain[name] - value).abs().max()
        assert ours < 4 * theirs + 1e-6, name  # as near as PyTorch's own
    assert any(not torch.equal(found[name], plain[name]) for name in found)  # the kernels did run


@pytest.mark.parametrize(("model", "image_shape"), MODELS, ids=str)
def test_bits_depend_on_neither_pack_nor_threads(model, image_shape):
    together = two_steps(model, image_shape, torch.float32)
    alone = two_steps(model, image_shape, torch.float32, of=slice(1, 2))
    threads = two_steps(model, image_shape, torch.float32, threads=2)
    for name, value in together.items():
        assert torch.equal(alone[name][0], value[1]), name
        assert torch.equal(threads[name], value), name


@pytest.mark.thorough
def test_compiled_step():
    model, image_shape = MODELS[0]
    expected, found = (two_steps(model, image_shape, torch.float32, compiled=on) for on in (False, True))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
