"""Outputs and last hidden layer against closed forms and plain loops."""

import math

import numpy as np
import pytest
import torch
from subjects import by_name, one_network, subject
from torch.nn import functional

from gengap.probes import representation


def test_calibration_is_the_gap_of_confidence_and_accuracy_in_every_bin():
    """Two samples of confidence 0.9, one right; two of 0.6, both right: (2 * 0.4 + 2 * 0.4) / 4."""
    confidence = torch.tensor([0.9, 0.9, 0.6, 0.6], dtype=torch.float64)
    found = representation.calibration_error(confidence, torch.tensor([True, False, True, True]))
    assert found.item() == pytest.approx(0.4)


def test_variability_of_two_classes_on_a_line():
    """Means -1 and 1, deviation 0.5 in each: S_B = 1, S_W = 0.25, so NC1 = 0.25 / 2."""
    h = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]], dtype=torch.float64)
    found = representation.within_class_variability(h, torch.tensor([0, 0, 1, 1]))
    assert found.item() == pytest.approx(0.125)


def test_variability_is_the_trace_with_the_pseudoinverse():
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(60, 7, generator=generator, dtype=torch.float64)
    number = torch.arange(60) % 4
    means = torch.stack([h[number == one].mean(0) for one in range(4)])
    within = torch.cov((h - means[number]).T, correction=0)
    between = torch.cov(means.T, correction=0)
    expected = torch.trace(within @ torch.linalg.pinv(between, rtol=1e-8)) / 4
    assert representation.within_class_variability(h, number).item() == pytest.approx(expected.item())


def test_rank_of_a_spectrum_by_hand():
    """Singular values 3 and 1: exp of the entropy of (3/4, 1/4), and (9 + 1)^2 / (81 + 1)."""
    h = torch.tensor([[3.0, 0], [-3, 0], [0, 1], [0, -1]], dtype=torch.float64)
    found = representation.spectrum(h)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found["effective_rank"].item() == pytest.approx(math.exp(entropy))
    assert found["participation_ratio"].item() == pytest.approx(100 / 82)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_dimension_of_a_cube_in_a_larger_space(dimension):
    generator = torch.Generator().manual_seed(dimension)
    cube = torch.rand(2000, dimension, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(8, dimension, generator=generator, dtype=torch.float64))[0]
    found = representation.intrinsic_dimension(cube @ basis.T).item()
    assert found == pytest.approx(dimension, rel=0.1)  # the standard error is 1 / sqrt(2000) of it


def test_partners_are_of_the_same_class():
    number = torch.tensor([0, 1, 0, 1, 1, 2])
    partner = representation.same_class_partners(number, 3)
    assert (number[partner] == number).all()
    assert [int(p) == i for i, p in enumerate(partner)] == [False] * 5 + [True]
    assert sorted(partner.tolist()) == list(range(6))


def test_fisher_rao_is_the_quadratic_form_of_the_fisher_matrix():
    """Without biases, <grad l(x), theta> = d <dl/df, f>: for every sample, by the gradient itself."""
    made = subject({"name": "representation"}, {"model": {"name": "mlp", "width": 4, "depth": 2}}, n_classes=3)
    for name, value in made.state.items():
        if "bias" in name:
            value[:] = 0
    network = one_network(made, 1)
    along = []
    for x, y in zip(made.train_images, made.train_targets, strict=True):
        network.zero_grad()
        functional.cross_entropy(network(x[None]), y[None]).backward()
        along.append(sum((p.grad * p).sum().item() for p in network.parameters()))
    found = by_name(representation.measure(made))["fisher_rao_norm", ""][1].item()
    assert found == pytest.approx(np.sqrt(np.mean(np.square(along))))


def test_relative_flatness_is_that_of_the_full_hessian_of_the_output_layer():
    made = subject({"name": "representation"}, {"model": {"name": "mlp", "width": 4, "depth": 1}}, n_classes=3)
    network = one_network(made, 0)
    hidden = network[:-1](made.train_images).detach()
    weight, bias = network.output.weight.detach(), network.output.bias.detach()

    def loss(flat):
        return functional.cross_entropy(hidden @ flat.view(3, 4).T + bias, made.train_targets)

    blocks = torch.autograd.functional.hessian(loss, weight.flatten()).view(3, 4, 3, 4)
    expected = sum((weight[j] @ weight[k] * blocks[j, :, k, :].trace()).item() for j in range(3) for k in range(3))
    found = by_name(representation.measure(made))["relative_flatness", ""][0].item()
    assert found == pytest.approx(expected)


def test_outputs_against_a_loop():
    made = subject({"name": "representation", "samples": 30}, n_classes=3)
    network = one_network(made, 0)
    probabilities = network.eval()(made.train_images[:30]).softmax(1).detach().numpy()
    found = by_name(representation.measure(made))
    assert found["output_entropy", ""][0].item() == pytest.approx(
        -(probabilities * np.log(probabilities)).sum(1).mean()
    )
    assert found["mean_confidence", ""][0].item() == pytest.approx(probabilities.max(1).mean())
    product = found["davies_bouldin_index", ""] * found["mixup_error", ""]
    assert found["davies_bouldin_mixup", ""].tolist() == pytest.approx(product.tolist())


def test_a_set_of_one_class_is_refused():
    made = subject({"name": "representation", "samples": 1}, n_classes=3)
    with pytest.raises(ValueError, match="of one class"):
        representation.measure(made)
