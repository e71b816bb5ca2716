"""What enters every ReLU, against forward passes written out."""

import pytest
import torch
from subjects import by_name, one_network, subject

from gengap.engine import noise_draws
from gengap.probes import pre_activations
from gengap.probes.batches import drawn_batches

MLP = {"model": {"name": "mlp", "width": 6, "depth": 2, "batchnorm": "none"}}


def entering(made, place, shifts=(0.0, 0.0), gains=(1.0, 1.0)):
    """Inputs of both ReLUs ``[N, units]`` of one network, without the probe's code."""
    network = one_network(made, place)
    index = drawn_batches(made.cells[place], len(made.train_images), 1)[0]
    x, found = made.train_images[torch.from_numpy(index)].flatten(1), []
    with torch.no_grad():
        for name, shift, gain in zip(("linear1", "linear2"), shifts, gains, strict=True):
            layer = getattr(network, name)
            found.append(gain * (x @ layer.weight.T + layer.bias) + shift)
            x = found[-1].clamp(min=0)
    return found


def check(measured, place, expected, nodes):
    for layer, values in zip(("linear1_relu", "linear2_relu"), expected, strict=True):
        rms_mean = values.mean(dim=0).square().mean().sqrt()
        rms_std = values.var(dim=0, correction=0).mean().sqrt()
        torch.testing.assert_close(measured["pre_activation_mean", layer][place], rms_mean)
        torch.testing.assert_close(measured["pre_activation_std", layer][place], rms_std)
        quantiles = measured["pre_activation_quantiles", layer][place]
        assert quantiles.shape == (nodes, 5)
        torch.testing.assert_close(quantiles[:, 2], values[:, :nodes].quantile(0.5, dim=0))
        torch.testing.assert_close(quantiles[:, 4], values[:, :nodes].quantile(0.975, dim=0))


@pytest.mark.parametrize(("given", "nodes"), [({}, 4), ({"nodes": 2}, 2), ({"nodes": 50}, 6)])
def test_moments_and_quantiles_of_every_layer(given, nodes):
    made = subject({"name": "pre_activations", **given}, {**MLP, "training": {"batch_size": 16}})
    measured = by_name(pre_activations.measure(made))
    for place in (0, 1):
        check(measured, place, entering(made, place), nodes)


def test_noise_of_training_counts():
    """The draw is that of the first step of the epoch at which the checkpoint was saved."""
    training = {"batch_size": 16, "noise_std": 0.7, "noise_mode": "affine"}
    made = subject({"name": "pre_activations"}, {**MLP, "training": training})
    measured = by_name(pre_activations.measure(made))
    shapes = {"linear1_relu.noise": torch.Size([6]), "linear2_relu.noise": torch.Size([6])}
    for place, cell in enumerate(made.cells):
        draw = noise_draws.draws([cell], shapes, 2, [16], dtype=torch.float64, device=torch.device("cpu"))
        drawn = next(draw)
        shifts, gains = ([drawn[f"linear{layer}_relu.{part}"][0] for layer in (1, 2)] for part in ("noise", "gain"))
        check(measured, place, entering(made, place, shifts, gains), 4)


@pytest.mark.parametrize("batchnorm", ["batch", "running", "exact"])
def test_batchnorm_makes_the_moments_those_of_its_affine_map_in_batch_mode(batchnorm):
    """With the batch's own statistics a node's mean is its shift, and its standard deviation its scale."""
    made = subject({"name": "pre_activations", "batchnorm": batchnorm}, {"training": {"batch_size": 16}})
    measured = by_name(pre_activations.measure(made))
    first = next(layer for quantity, layer in measured if quantity == "pre_activation_mean")
    shift = made.state[first.replace("relu", "bn") + ".bias"]
    expected = shift.square().mean(dim=1).sqrt()
    found = measured["pre_activation_mean", first]
    assert torch.allclose(found, expected, rtol=1e-6) == (batchnorm == "batch")


def test_a_network_without_relus_is_told():
    made = subject({"name": "pre_activations"}, {"model": {"name": "mlp", "width": 3, "activation": "identity"}})
    with pytest.raises(ValueError, match="no ReLU"):
        pre_activations.measure(made)
