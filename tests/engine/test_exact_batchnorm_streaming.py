"""Statistics put together layer by layer against those of all images as one batch."""

import pytest
import torch

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.evaluation import exact_batchnorm_one_pass, exact_batchnorm_streaming
from gengap.studies.settings import Cell

NETWORKS = {
    "lenet, before": ({"name": "lenet", "width": 2, "batchnorm": "before"}, (1, 16, 16)),
    "lenet, after": ({"name": "lenet", "width": 2, "batchnorm": "after", "activation": "identity"}, (1, 16, 16)),
    "song": ({"name": "song", "width": 3}, (3, 8, 8)),
    "resnet": ({"name": "resnet", "width": 2, "depth": 14}, (3, 8, 8)),
    "wide_resnet": ({"name": "wide_resnet", "width": 4, "depth": 10}, (3, 8, 8)),
    "vgg": ({"name": "vgg", "width": 2, "depth": 11}, (3, 32, 32)),
}


def stacked(model, shape, dtype=torch.float64):
    """Two networks with odd running statistics, of which nothing may be left, and 50 images far from mean 0."""
    cells = [Cell.model_validate({"model": model, "seed": seed}) for seed in (0, 1)]
    arch = stack.architecture(models.build(cells[0].model, shape, 3))
    state = stack.initial_state(cells, shape, 3, dtype=dtype, device=torch.device("cpu"))
    for name in arch.buffers:
        state[name] += 3.0
    generator = torch.Generator().manual_seed(0)
    return arch, state, torch.randn(50, *shape, generator=generator, dtype=torch.float64).to(dtype) + 5


@pytest.mark.parametrize("network", NETWORKS)
def test_layer_by_layer_equals_one_batch(network, monkeypatch):
    arch, state, images = stacked(*NETWORKS[network])
    monkeypatch.setattr(exact_batchnorm_streaming, "BATCH_SIZE", 8)  # 50 images: six batches and a rest
    one_batch = evaluation.exact_statistics(arch, state, images)
    found = exact_batchnorm_streaming.streamed_statistics(arch, state, images)
    assert set(found) == set(arch.buffers)
    for name, value in one_batch.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)


def test_too_large_a_set_is_streamed_and_a_small_one_is_not(monkeypatch):
    arch, state, images = stacked(*NETWORKS["lenet, before"])
    largest = 2 * 12 * 12  # the maps of conv1
    one_batch = evaluation.exact_statistics(arch, state, images)
    monkeypatch.setattr(exact_batchnorm_streaming, "_CPU_ELEMENTS", 50 * largest)
    assert not exact_batchnorm_streaming.too_large(arch, images)
    monkeypatch.setattr(exact_batchnorm_streaming, "_CPU_ELEMENTS", 50 * largest - 1)
    assert exact_batchnorm_streaming.too_large(arch, images)
    monkeypatch.setattr(exact_batchnorm_streaming, "BATCH_SIZE", 16)
    found = evaluation.for_mode(arch, state, images, "exact")
    for name in arch.buffers:
        torch.testing.assert_close(found[name], one_batch[name], rtol=1e-9, atol=1e-11)


def test_a_network_leaves_no_hook_behind_and_its_place_changes_no_bit():
    arch, state, images = stacked(*NETWORKS["resnet"], dtype=torch.float32)
    both = exact_batchnorm_streaming.streamed_statistics(arch, state, images)
    alone = exact_batchnorm_streaming.streamed_statistics(arch, stack.take(state, [1]), images)
    for name in arch.buffers:
        assert torch.equal(both[name][1], alone[name][0])
    assert not any(layer._forward_pre_hooks for layer in arch.evaluation.modules())


@pytest.mark.parametrize("network", NETWORKS)
def test_one_pass_gives_the_bits_of_many_and_the_outputs(network, monkeypatch):
    arch, state, images = stacked(*NETWORKS[network], dtype=torch.float32)
    monkeypatch.setattr(exact_batchnorm_streaming, "BATCH_SIZE", 16)
    many = exact_batchnorm_streaming.streamed_statistics(arch, state, images)
    buffers, outputs = exact_batchnorm_one_pass.one_pass(arch, state, images)
    assert all(torch.equal(buffers[name], many[name]) for name in arch.buffers)
    expected = evaluation.all_outputs(arch, {**state, **many}, images, "exact")
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-4)


def test_maps_are_held_until_their_last_reader_has_run(monkeypatch):
    """A VGG holds a layer's input and output, its image and first map at most; a residual block its input as well."""
    arch, _, images = stacked(*NETWORKS["vgg"])
    assert exact_batchnorm_one_pass.held_elements(arch, (3, 32, 32)) == (3 + 2) * 32 * 32
    arch, state, images = stacked(*NETWORKS["song"])
    # Of block 1: the image and two maps of 3 x 4 x 4 before the last one that reads the image has run.
    assert exact_batchnorm_one_pass.held_elements(arch, (3, 8, 8)) == 3 * 8 * 8 + 2 * 3 * 4 * 4
    assert not exact_batchnorm_one_pass.fits(arch, images)  # on a CPU
    # The training loop takes both from there where a GPU holds the maps.
    monkeypatch.setattr(evaluation, "too_large", lambda *_: True)
    monkeypatch.setattr(evaluation.exact_batchnorm_one_pass, "fits", lambda *_: True)
    ready, outputs = evaluation.training_outputs(arch, state, images, "exact")
    one_batch = evaluation.all_outputs(arch, ready, images, "exact")
    torch.testing.assert_close(outputs, one_batch, rtol=1e-9, atol=1e-10)
    assert torch.equal(
        evaluation.for_mode(arch, state, images, "exact")["block1.bn1.running_mean"], ready["block1.bn1.running_mean"]
    )


def test_moments_of_parts_far_from_zero():
    """Mean 1e6 and variance 1: the difference of two sums of squares would keep 4 digits."""
    x = torch.randn(1000, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1e6
    total = exact_batchnorm_streaming.Moments.of(x[:1])
    for part in x[1:].split(77):
        total.add(exact_batchnorm_streaming.Moments.of(part))
    assert total.count == 4000
    torch.testing.assert_close(total.mean, x.mean(dim=(0, 2)), rtol=1e-14, atol=0)
    torch.testing.assert_close(total.squares / 4000, x.var(dim=(0, 2), correction=0), rtol=1e-9, atol=0)
