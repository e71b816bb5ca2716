"""Schedules against torch.optim.lr_scheduler, and by hand."""

import pytest
import torch

from gengap.studies.settings import Schedule
from gengap.training.schedules import constant, cosine, linear, multistep, plateau


def rates(make_scheduler, metrics):
    """Learning rate relative to its start after each epoch, by PyTorch's own scheduler."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimizer)
    found = []
    for metric in metrics:
        optimizer.step()
        scheduler.step(*([metric] if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau) else []))
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_multistep_equals_torchs():
    settings = Schedule(name="multistep", factor=0.2, milestones=(0.5, 0.75, 0.75))
    ours = [multistep.decide(settings, 20, done, []).multiplier for done in range(1, 21)]
    theirs = rates(lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [10, 15, 15], gamma=0.2), [None] * 20)
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("final", [0.0, 0.001, 0.3])
def test_cosine_equals_torchs(final):
    settings = Schedule(name="cosine", final=final)
    ours = [cosine.decide(settings, 20, done, []).multiplier for done in range(1, 21)]
    theirs = rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=final), [None] * 20)
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("final", [0.0, 0.001, 0.3])
def test_linear_equals_torchs(final):
    settings = Schedule(name="linear", final=final)
    ours = [linear.decide(settings, 20, done, []).multiplier for done in range(1, 21)]
    theirs = rates(
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=final, total_iters=20), [None] * 20
    )
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15)


def test_plateau_equals_torchs_with_a_shifted_patience():
    """PyTorch drops when the count of bad epochs exceeds patience, so its patience is one less than ours."""
    accuracies = [0.5, 0.6, 0.6, 0.6005, 0.7, 0.7, 0.7, 0.7, 0.7, 0.71, 0.71, 0.71, 0.71]
    settings = Schedule(name="plateau", patience=3, threshold=0.001, factor=0.1, max_drops=9)
    ours = [
        plateau.decide(settings, 99, done, list(enumerate(accuracies[:done], start=1))).multiplier
        for done in range(1, len(accuracies) + 1)
    ]
    theirs = rates(
        lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(
            o, "max", factor=0.1, patience=2, threshold=0.001, threshold_mode="abs"
        ),
        accuracies,
    )
    assert ours == pytest.approx(theirs)


def test_plateau_ends_training_after_the_last_drop():
    settings = Schedule(name="plateau", patience=2, max_drops=2)
    flat = [(epoch, 0.5) for epoch in range(1, 8)]
    stops = [plateau.decide(settings, 99, done, flat[:done]).stop for done in range(1, 8)]
    assert stops == [False] * 6 + [True]


def test_constant_never_changes():
    decision = constant.decide(Schedule(), 10, 9, [])
    assert (decision.multiplier, decision.stop) == (1.0, False)
