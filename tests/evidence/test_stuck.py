"""Networks that learned nothing although their output is not constant."""

import math

import numpy as np
import pytest
import synthetic
import torch

from gengap.evidence.stuck import trivial_distillation, trivial_loss
from gengap.losses import sample_losses
from gengap.studies.packing import dataset_key, labels_key
from gengap.studies.settings import Loss

LOSSES = [
    ({"name": "cross_entropy"}, [0.2, 0.5, 0.3]),
    ({"name": "squared"}, [0.2, 0.5, 0.3]),
    ({"name": "squared"}, [0.3, 0.7]),
    ({"name": "smooth_hinge", "power": 2.0}, [0.45, 0.55]),
    ({"name": "smooth_hinge", "power": 3.0}, [0.2, 0.8]),
]


@pytest.mark.parametrize(("loss", "shares"), LOSSES)
def test_the_trivial_loss_is_the_smallest_of_constant_outputs(loss, shares):
    """Gradient descent on one output vector for all samples, with the loss that networks train on, finds no less."""
    settings = Loss(**loss)
    binary = len(shares) == 2
    counts = [round(1000 * share) for share in shares]
    targets = torch.repeat_interleave(torch.tensor([-1.0, 1.0] if binary else [0, 1, 2]), torch.tensor(counts))
    outputs = torch.zeros(1, 1 if binary else 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([outputs], max_iter=200, line_search_fn="strong_wolfe")

    def mean_loss():
        optimizer.zero_grad()
        value = sample_losses(settings)(outputs.expand(1000, -1), targets).mean()
        value.backward()
        return value

    optimizer.step(mean_loss)
    named = {str(number): share for number, share in enumerate(shares)}
    assert trivial_loss(settings, named, {}) == pytest.approx(float(mean_loss()), rel=1e-6)


@pytest.mark.parametrize(("n_outputs", "temperature"), [(1, None), (1, 2.0), (5, None), (5, 1.0), (5, 3.0)])
def test_so_it_is_of_a_teacher(n_outputs, temperature):
    """As above; the teacher's outputs have different means and scales."""
    settings = Loss(name="distillation", temperature=temperature)
    targets = torch.randn(400, n_outputs, dtype=torch.float64) * torch.arange(1, n_outputs + 1) + 0.5
    outputs = torch.zeros(1, n_outputs, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([outputs], max_iter=200, line_search_fn="strong_wolfe")

    def mean_loss():
        optimizer.zero_grad()
        value = sample_losses(settings)(outputs.expand(400, -1), targets).mean()
        value.backward()
        return value

    optimizer.step(mean_loss)
    found = trivial_distillation(targets.numpy(), temperature)
    assert found == pytest.approx(float(mean_loss()), rel=1e-6)
    assert trivial_loss(settings, {}, {str(temperature): found}) == found


def test_a_loss_that_does_not_follow_from_the_classes_has_none():
    assert math.isnan(trivial_loss(Loss(name="distillation"), {"0": 0.5, "1": 0.5}, {}))
    assert math.isnan(trivial_loss(Loss(name="smooth_hinge"), {"0": 0.2, "1": 0.5, "2": 0.3}, {}))


def test_a_class_without_samples_does_not_count():
    shares = {"0": 0.5, "1": 0.5, "2": 0.0}
    assert trivial_loss(Loss(name="cross_entropy"), shares, {}) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("accuracy", "loss", "status"),
    [(0.505, 0.9999, "stuck"), (0.505, 0.9, "finished"), (0.6, 0.9999, "finished"), (0.5, 1.2, "stuck")],
)
def test_a_cell_is_stuck_where_both_are_trivial(tmp_path, accuracy, loss, status):
    study = synthetic.study(tmp_path, {"seed": [0, 1]})
    values = {
        "seed=0": {"train_accuracy": accuracy, "train_loss": loss},
        "seed=1": {"train_accuracy": 0.9, "train_loss": 0.1},
    }
    cell = study.cells["seed=0"]
    facts = {f"{dataset_key(cell)}/{labels_key(cell)}": {"class_balance": {"train": {"0": 0.5, "1": 0.5}}}}
    found = synthetic.collected(tmp_path, study, facts=facts, values=values)
    assert dict(zip(found.cells["cell"], found.cells["status"], strict=True)) == {
        "seed=0": status,
        "seed=1": "finished",
    }
