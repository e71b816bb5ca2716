"""Margins against a plain loop, and against the exact distances of linear networks."""

import dataclasses

import numpy as np
import pytest
import torch
from subjects import by_name, one_network, subject

from gengap.probes import margin

LINEAR = {"name": "mlp", "width": 5, "depth": 1, "activation": "identity"}


def spread(images):
    flat = images.flatten(1).numpy()
    return np.sqrt(((flat - flat.mean(0)) ** 2).sum(1).mean())


def weights_of(made, place):
    """A linear network as one matrix and one shift."""
    one = {name: value[place] for name, value in made.state.items()}
    matrix = one["output.weight"] @ one["linear1.weight"]
    return matrix, one["output.weight"] @ one["linear1.bias"] + one["output.bias"]


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("samples", [None, 11])
def test_linear_networks_have_exact_distances(n_classes, samples):
    """The distance to the boundary with the nearest other class is |m| / ||w_y - w_j||; with one output |f| / ||w||."""
    loss = {"name": "smooth_hinge"} if n_classes == 2 else {"name": "cross_entropy"}
    made = subject({"name": "margin", "samples": samples}, {"model": LINEAR, "loss": loss}, n_classes=n_classes)
    found = by_name(margin.measure(made))
    images, targets = made.train_images[:samples], made.train_targets[:samples]
    for place in (0, 1):
        matrix, shift = weights_of(made, place)
        margins, distances = [], []
        for x, y in zip(images.flatten(1), targets.tolist(), strict=True):
            outputs = matrix @ x + shift
            if n_classes == 2:
                margins.append((y * outputs[0]).item())
                distances.append(margins[-1] / matrix[0].norm().item())
            else:
                other = max((j for j in range(n_classes) if j != y), key=lambda j: outputs[j].item())
                margins.append((outputs[y] - outputs[other]).item())
                distances.append(margins[-1] / (matrix[y] - matrix[other]).norm().item())
        normalized = np.array(distances) / spread(images)
        assert found["margin_mean", ""][place].item() == pytest.approx(np.mean(margins))
        assert found["margin_median", ""][place].item() == pytest.approx(np.quantile(margins, 0.5, method="lower"))
        assert found["margin_10th_percentile", ""][place].item() == pytest.approx(
            np.quantile(margins, 0.1, method="lower")
        )
        assert found["margin_smallest", ""][place].item() == pytest.approx(min(margins))
        assert found["normalized_margin_median", ""][place].item() == pytest.approx(
            np.quantile(normalized, 0.5, method="lower")
        )
        assert found["normalized_margin_10th_percentile", ""][place].item() == pytest.approx(
            np.quantile(normalized, 0.1, method="lower")
        )


@pytest.mark.parametrize("batchnorm", ["running", "exact"])
def test_slopes_equal_finite_differences(batchnorm, monkeypatch):
    """Of a convolutional network with BatchNorm, one sample at a time; in batches that do not divide the set."""
    made = subject({"name": "margin", "batchnorm": batchnorm}, n_classes=3)
    network = one_network(made, 1)
    state = {name: value[1] for name, value in made.state.items()}
    monkeypatch.setattr(margin, "BATCH_SIZE", 7)
    margins, slopes = margin.margins_and_slopes(made.network, state, made.train_images, made.train_targets)

    def one_margin(x, y):
        with torch.no_grad():
            outputs = network(x[None])[0]
        return (outputs[y] - max(outputs[j] for j in range(3) if j != y)).item()

    for sample in (0, 9, 39):
        x, y, step = made.train_images[sample], int(made.train_targets[sample]), 1e-6
        basis = torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)
        slope = [(one_margin(x + step * e, y) - one_margin(x - step * e, y)) / (2 * step) for e in basis]
        assert margins[sample].item() == pytest.approx(one_margin(x, y))
        assert slopes[sample].item() == pytest.approx(np.linalg.norm(slope), rel=1e-6)


def test_the_scale_of_the_output_changes_margins_alone():
    made = subject({"name": "margin"}, {"model": {"width": 8}}, n_classes=3)
    scaled = {name: value * 4 if name.startswith("output.") else value for name, value in made.state.items()}
    before, after = (by_name(margin.measure(one)) for one in (made, dataclasses.replace(made, state=scaled)))
    for key, value in before.items():
        factor = 1 if key[0].startswith("normalized") else 4
        torch.testing.assert_close(after[key], factor * value, rtol=1e-12, atol=0)


def test_a_dead_network_has_no_distance():
    """Its output is a constant: infinitely far from the boundary on the one side or the other."""
    made = subject({"name": "margin"}, {"model": {"width": 8}, "loss": {"name": "smooth_hinge"}})
    made.state["output.weight"][0] = 0
    made.state["output.bias"][0] = 0.5
    found = by_name(margin.measure(made))
    assert found["normalized_margin_10th_percentile", ""][0].item() == -torch.inf
    assert found["margin_smallest", ""][0].item() == -0.5
    assert found["normalized_margin_10th_percentile", ""][1].isfinite()
