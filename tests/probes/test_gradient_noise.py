"""The noise scale against a loop over samples, against torch's own variances."""

import dataclasses

import pytest
import subjects
import torch

from gengap import losses, registry
from gengap.probes import gradient_noise

MODES = ("running", "exact")
QUANTITIES = (
    "gradient_covariance_trace",
    "squared_expected_gradient",
    "gradient_noise_scale",
    "gradient_signal_to_noise",
)


def single_gradients(made, place):
    """One network's gradient on every sample by itself, ``[N, P]``, by the ordinary module and autograd."""
    network, loss = subjects.one_network(made, place), losses.sample_losses(made.loss)
    rows = []
    for x, y in zip(made.train_images, made.train_targets, strict=True):
        gradients = torch.autograd.grad(loss(network(x[None]), y[None]).sum(), list(network.parameters()))
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows)


def estimates(g):
    trace = g.var(dim=0).sum()
    signal = g.mean(dim=0).square().sum() - trace / len(g)
    scale = trace / signal if signal > 0 else torch.tensor(torch.inf)
    return dict(zip(QUANTITIES, (trace, signal, scale, signal / trace), strict=True))


@pytest.mark.parametrize("batchnorm", MODES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_against_a_loop_over_samples_left_out_one_by_one(batchnorm, n_classes):
    made = subjects.subject({"batchnorm": batchnorm}, n_train=12, n_classes=n_classes)
    found = subjects.by_name(gradient_noise.measure(made))
    for place in range(2):
        g = single_gradients(made, place)
        expected = estimates(g)
        left_out = [estimates(torch.cat([g[:i], g[i + 1 :]])) for i in range(len(g))]
        for name in QUANTITIES:
            assert found[name, ""][place].item() == pytest.approx(expected[name].item(), rel=1e-9), name
            values = torch.stack([one[name] for one in left_out])
            error = ((len(g) - 1) / len(g) * (values - values.mean()).square().sum()).sqrt().item()
            if error == error:
                assert found[f"{name}_standard_error", ""][place].item() == pytest.approx(error, rel=1e-6), name


@pytest.mark.parametrize("batchnorm", MODES)
def test_the_chunk_size_changes_nothing(batchnorm, monkeypatch):
    made = subjects.subject({"batchnorm": batchnorm, "samples": 30})
    whole = subjects.by_name(gradient_noise.measure(made))
    for budget in (1, 7 * made.arch.n_parameters):
        monkeypatch.setattr(gradient_noise, "BUDGET", budget)
        parts = subjects.by_name(gradient_noise.measure(made))
        for key, value in whole.items():
            torch.testing.assert_close(parts[key], value, rtol=1e-8, atol=0)


def test_the_pack_changes_no_bit():
    made = subjects.subject({})
    alone = subjects.subject({}, seeds=(3,))
    alone = dataclasses.replace(alone, state={name: value[1:] for name, value in made.state.items()})
    for together, single in zip(gradient_noise.measure(made), gradient_noise.measure(alone), strict=True):
        assert together.values[1:].tolist() == single.values.tolist()


def test_fewer_than_three_samples_are_refused():
    with pytest.raises(ValueError, match=r"2 samples give no standard error. Set the probe's `samples`"):
        gradient_noise.measure(subjects.subject({"samples": 2}))


@pytest.mark.thorough
def test_standard_errors_are_the_spread_over_independent_sets():
    """Forty disjoint sets of images: the mean standard error is the standard deviation of the forty estimates."""
    values = {name: [] for name in QUANTITIES}
    errors = {name: [] for name in QUANTITIES}
    whole = subjects.subject({"batchnorm": "running"}, seeds=(0,), n_train=40 * 300)
    for x, y in zip(whole.train_images.split(300), whole.train_targets.split(300), strict=True):
        found = subjects.by_name(gradient_noise.measure(dataclasses.replace(whole, train_images=x, train_targets=y)))
        for name in QUANTITIES:
            values[name].append(found[name, ""].item())
            errors[name].append(found[f"{name}_standard_error", ""].item())
    for name in QUANTITIES:
        spread = torch.tensor(values[name]).std().item()
        mean = torch.tensor(errors[name]).square().mean().sqrt().item()
        # Forty draws know their own spread to 11 %; three times that.
        assert mean == pytest.approx(spread, rel=0.35), name
    truth = subjects.by_name(gradient_noise.measure(whole))
    for name in ("gradient_covariance_trace", "squared_expected_gradient"):
        mean, spread = torch.tensor(values[name]).mean().item(), torch.tensor(values[name]).std().item()
        assert abs(mean - truth[name, ""].item()) < 3 * spread / 40**0.5, name  # unbiased


@pytest.mark.parametrize("name", sorted(registry.REGISTRY["model"]))
def test_every_model_has_single_sample_gradients(name):
    """Pooling, dropout and shortcuts included: what `torch.func` cannot map or differentiate would show here."""
    made = subjects.subject(
        {}, {"model": {"name": name, "width": 4}}, seeds=(0,), shape=(3, 32, 32), n_train=5, n_test=2
    )
    found = subjects.by_name(gradient_noise.measure(made))
    g = single_gradients(made, 0)
    # Where one sample alone has a gradient, as in narrower networks, the estimates cancel to rounding errors.
    assert abs(estimates(g)["gradient_signal_to_noise"]) > 1e-4
    for quantity, value in estimates(g).items():
        assert found[quantity, ""].item() == pytest.approx(value.item(), rel=1e-7), quantity
    error = found["gradient_covariance_trace_standard_error", ""].item()
    traces = torch.stack([torch.cat([g[:i], g[i + 1 :]]).var(dim=0).sum() for i in range(5)])
    assert error == pytest.approx(2 * traces.std(correction=0).item(), rel=1e-6)
