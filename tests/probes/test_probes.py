"""Every probe against a closed form or finite differences, in float64."""

import dataclasses

import pytest
import torch

from gengap import models
from gengap.engine import evaluation, stack
from gengap.probes import distance, gradient, performance
from gengap.probes.context import ProbeContext
from gengap.studies.settings import Cell, Loss
from gengap.studies.study import Probe


@pytest.fixture(params=["running", "batch", "exact"])
def subject(request):
    """The networks below in each BatchNorm mode."""
    return make_subject(request.param)


def make_subject(batchnorm):
    """Two width-2 networks in float64 on 40 random images."""
    cells = tuple(Cell.model_validate({"model": {"width": 2}, "seed": seed}) for seed in (0, 3))
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 1))
    start = stack.initial_state(cells, (3, 8, 8), 1, dtype=torch.float64, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    moved = {n: v if n in arch.buffers else v + 0.1 * normal(*v.shape) for n, v in start.items()}
    images = normal(40, 3, 8, 8)
    targets = normal(40).sign().long()
    return ProbeContext(
        arch=arch,
        state=evaluation.for_mode(arch, moved, images[:30], batchnorm),
        start=start,
        batchnorm=batchnorm,
        loss=Loss(power=3.0),
        cells=cells,
        train_images=images[:30],
        train_targets=targets[:30],
        test_images=images[30:],
        test_targets=targets[30:],
        options=Probe(name="performance", batchnorm=batchnorm),
        measured_at=(1.0, 1.0),
        epochs=(0.0, 1.0),
        saved=lambda epoch: start if epoch == 0 else moved,
    )


def by_name(measured):
    return {(m.quantity, m.layer): m.values for m in measured}


def train_loss(subject, place, name, entry, shift):
    """Loss of one network with one weight moved, computed by the ordinary module."""
    network = models.build(subject.cells[place].model, (3, 8, 8), 1).double()
    state = {key: value[place].clone() for key, value in subject.state.items()}
    state[name].view(-1)[entry] += shift
    network.load_state_dict(state, strict=False)
    network.train(subject.batchnorm == "batch")
    with torch.no_grad():
        margins = subject.train_targets * network(subject.train_images)[:, 0]
    return (1 - margins).clamp(min=0).pow(3).mean().item()


def test_gradient_equals_finite_differences(subject):
    found = by_name(gradient.measure(subject))
    name = "block2.conv1.weight"
    step = 1e-5
    differences = [
        (train_loss(subject, 1, name, entry, step) - train_loss(subject, 1, name, entry, -step)) / (2 * step)
        for entry in range(subject.state[name][1].numel())
    ]
    expected = torch.tensor(differences, dtype=torch.float64).norm().item()
    assert found["layer_gradient_norm", "block2.conv1"][1].item() == pytest.approx(expected, rel=1e-6)
    weights = subject.state[name][1]
    relative = found["relative_layer_gradient_norm", "block2.conv1"][1].item()
    assert relative == pytest.approx(expected / weights.norm().item(), rel=1e-6)
    rms = found["rms_layer_gradient", "block2.conv1"][1].item()
    assert rms == pytest.approx(expected / weights.numel() ** 0.5, rel=1e-6)


def test_gradient_norm_is_the_root_of_all_squares(subject):
    """Against autograd on the ordinary module, every parameter counted."""
    network = models.build(subject.cells[0].model, (3, 8, 8), 1).double()
    network.load_state_dict({key: value[0] for key, value in subject.state.items()}, strict=False)
    network.train(subject.batchnorm == "batch")
    margins = subject.train_targets * network(subject.train_images)[:, 0]
    (1 - margins).clamp(min=0).pow(3).mean().backward()
    found = by_name(gradient.measure(subject))
    total = torch.cat([p.grad.flatten() for p in network.parameters()]).norm().item()
    assert found["gradient_norm", ""][0].item() == pytest.approx(total, rel=1e-9)
    layers = [
        layer.weight.grad.norm().item()
        for layer in network.modules()
        if hasattr(layer, "weight") and layer.weight.dim() > 1
    ]
    assert found["gradient_ratio", ""][0].item() == pytest.approx(max(layers) / min(layers), rel=1e-9)


@pytest.mark.parametrize("batchnorm", ["running", "exact"])
def test_gradient_over_batches_is_the_gradient_of_the_mean(batchnorm, monkeypatch):
    """In mode `batch` it is not: there the batches change the statistics."""
    subject = make_subject(batchnorm)
    whole = by_name(gradient.measure(subject))
    monkeypatch.setattr("gengap.probes.context.BATCH_SIZE", 7)
    parts = by_name(gradient.measure(subject))
    torch.testing.assert_close(parts["gradient_norm", ""], whole["gradient_norm", ""], rtol=1e-10, atol=0)


def test_biases_before_batchnorm_have_no_gradient():
    """Why layer norms leave biases out: with the batch's own statistics theirs is zero up to rounding."""
    subject = make_subject("batch")
    found = subject.objective().gradient()
    assert found["block1.conv1.bias"].abs().max() < 1e-14


def test_distance_of_a_known_move(subject):
    """Every parameter moved by the constant c: the distance is c times the square root of their number."""
    state = {name: value + (0.5 if name in subject.arch.parameters else 7.0) for name, value in subject.start.items()}
    found = by_name(distance.measure(dataclasses.replace(subject, state=state)))
    root = subject.arch.n_parameters**0.5
    assert found["distance_from_start", ""].tolist() == pytest.approx([0.5 * root] * 2)
    layer = subject.start["block1.conv1.weight"][0].numel() ** 0.5
    assert found["layer_distance_from_start", "block1.conv1"].tolist() == pytest.approx([0.5 * layer] * 2)
    flat = torch.cat([state[name][1].flatten() for name in subject.arch.parameters])
    assert found["weight_norm", ""][1].item() == pytest.approx(flat.norm().item())
    assert found["layer_weight_norm", "output"][1].item() == pytest.approx(state["output.weight"][1].norm().item())


def test_performance_equals_the_ordinary_module(subject):
    network = models.build(subject.cells[1].model, (3, 8, 8), 1).double()
    network.load_state_dict({key: value[1] for key, value in subject.state.items()}, strict=False)
    network.train(subject.batchnorm == "batch")
    with torch.no_grad():
        outputs = network(subject.test_images)[:, 0]
    right = (outputs > 0) == (subject.test_targets > 0)
    found = by_name(performance.measure(subject))
    assert found["test_accuracy", ""][1].item() == pytest.approx(right.double().mean().item())
    hinge = (1 - subject.test_targets * outputs).clamp(min=0).pow(3).mean().item()
    assert found["test_loss", ""][1].item() == pytest.approx(hinge, rel=1e-9)
    shares = [right[subject.test_targets == sign].double().mean().item() for sign in (-1, 1)]
    assert found["test_balanced_accuracy", ""][1].item() == pytest.approx(sum(shares) / 2)
