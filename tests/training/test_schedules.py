"""Schedules against torch.optim.lr_scheduler, and by hand."""

import pytest
import torch

from gengap.studies.settings import Cell, Schedule
from gengap.training import learning_rates, pack_state
from gengap.training.cell_result import CellResult
from gengap.training.schedules import constant, cosine, cyclical, linear, multistep, plateau, warm_restarts
from gengap.training.step import NetworkState


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


@pytest.mark.parametrize(("mode", "factor"), [("triangular", 1.0), ("triangular2", 0.5)])
def test_cyclical_equals_torchs(mode, factor):
    """Of 6 steps an epoch, for three cycles and a part."""
    settings = Schedule(name="cyclical", half_cycle=1.5, peak=5.0, amplitude_factor=factor)
    ours = [cyclical.decide(settings, 11, step / 6, []).multiplier for step in range(1, 67)]
    theirs = rates(
        lambda o: torch.optim.lr_scheduler.CyclicLR(o, 1.0, 5.0, step_size_up=9, mode=mode, cycle_momentum=False),
        [None] * 66,
    )
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert max(ours) == pytest.approx(5.0)


@pytest.mark.parametrize(("first", "factor"), [(3, 1), (2, 2), (1, 3)])
def test_warm_restarts_equal_torchs(first, factor):
    """Of 4 steps an epoch, and at the restarts themselves."""
    settings = Schedule(name="warm_restarts", first_cycle=first, cycle_factor=factor, final=0.01)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, first, factor, eta_min=0.01)
    for step in range(60):
        optimizer.step()
        scheduler.step(step / 4)
        ours = warm_restarts.decide(settings, 15, step / 4, []).multiplier
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def stack_of(*schedules):
    """Networks without weights whose rates are asked for."""
    cells = [Cell.model_validate({"optimizer": {"lr": 0.5}, "schedule": schedule}) for schedule in schedules]
    results = [CellResult(str(number), cell, str(number), 1) for number, cell in enumerate(cells)]
    return pack_state.PackState(results, NetworkState({}, {}, {}), [float("nan")] * len(cells), [0] * len(cells))


@pytest.mark.parametrize("epochs", [0.5, 1.0, 2.25])
def test_warm_up_equals_torchs(epochs):
    """Of 8 steps an epoch, in one pack with a cell that does not warm up."""
    pack = stack_of({"name": "constant", "warm_up": epochs, "warm_up_start": 0.2}, "constant")
    ours = []
    for pack.epoch in range(3):
        ours += [row.tolist() for row in learning_rates.epoch_rates(pack, 8, torch.zeros((), dtype=torch.float64))]
    theirs = rates(
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=0.2, total_iters=int(8 * epochs)), [None] * 23
    )
    assert [own for own, _ in ours] == pytest.approx([0.5 * rate for rate in (0.2, *theirs)], rel=1e-12)
    assert {other for _, other in ours} == {0.5}


def test_a_warm_up_multiplies_what_the_schedule_says():
    for name in ("multistep", "linear", "cosine"):
        pack = stack_of({"name": name, "warm_up": 20.0}, name)
        for pack.epoch in (5, 16, 20, 29):
            for step, row in enumerate(learning_rates.epoch_rates(pack, 3, torch.zeros((), dtype=torch.float64))):
                warm, plain = row.tolist()
                assert warm == pytest.approx(plain * min(1.0, (pack.epoch + step / 3) / 20))


def test_a_rate_over_the_curvature_warms_up_too():
    pack = stack_of({"name": "inverse_lipschitz", "warm_up": 1.0}, "inverse_lipschitz")
    pack.curvature = [4.0, 4.0]
    found = [row.tolist() for row in learning_rates.epoch_rates(pack, 4, torch.zeros(()))]
    assert found == [[share * 0.125, 0.125] for share in (0.0, 0.25, 0.5, 0.75)]


def test_a_rate_that_stays_is_one_tensor_for_all_steps():
    """A recorded CUDA graph copies what is another tensor than before."""
    pack = stack_of({"name": "linear", "warm_up": 2.0})
    pack.epoch = 2
    rows = learning_rates.epoch_rates(pack, 5, torch.zeros(()))
    assert len(rows) == 5
    assert len({id(row) for row in rows}) == 1
    pack.epoch = 1
    assert len({id(row) for row in learning_rates.epoch_rates(pack, 5, torch.zeros(()))}) == 5


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
