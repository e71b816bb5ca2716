"""The noise's level, shapes, distribution and independence of pack and interruption."""

import itertools

import pytest
import torch

from gengap.engine import noise_draws
from gengap.engine.layers import noise
from gengap.studies.settings import Training

PLACES = {"relu1.noise": torch.Size((4, 6, 5)), "hidden.relu.noise": torch.Size((7,))}


@pytest.fixture
def draws():
    def run(cells, epoch=0, batch_sizes=(3, 3, 2)):
        return noise_draws.draws(cells, PLACES, epoch, batch_sizes, dtype=torch.float64, device=torch.device("cpu"))

    return run


def test_the_level_changes_at_the_milestones():
    settings = Training(epochs=60, noise_std=0.4, noise_factor=1e-5, noise_milestones=(0.5,))
    assert [noise_draws.level(settings, done) for done in (0, 29, 30, 59)] == pytest.approx([0.4, 0.4, 4e-6, 4e-6])
    twice = Training(epochs=10, noise_std=0.4, noise_factor=0.5, noise_milestones=(0.2, 0.4))
    assert [noise_draws.level(twice, done) for done in (1, 2, 3, 4)] == pytest.approx([0.4, 0.2, 0.2, 0.1])


def test_a_shared_field_has_no_sample_and_no_channel(make_cell, draws):
    cells = [make_cell(seed, training={"noise_std": 0.1}) for seed in range(2)]
    for field in draws(cells):
        assert {name: value.shape for name, value in field.items()} == {
            "relu1.noise": (2, 6, 5),
            "hidden.relu.noise": (2,),
        }


def test_noise_per_unit_has_a_value_for_every_sample_and_unit(make_cell, draws):
    cells = [make_cell(seed, training={"noise_std": 0.1, "noise_mode": "unit"}) for seed in range(2)]
    shapes = [field["relu1.noise"].shape for field in draws(cells)]
    assert shapes == [(2, 3, 4, 6, 5), (2, 3, 4, 6, 5), (2, 2, 4, 6, 5)]
    assert [field["hidden.relu.noise"].shape for field in draws(cells)] == [(2, 3, 7), (2, 3, 7), (2, 2, 7)]


@pytest.mark.parametrize("mode", ["shared", "unit", "affine"])
def test_a_cells_noise_depends_on_neither_its_pack_nor_an_interruption(mode, make_cell, draws):
    cells = [make_cell(seed, training={"noise_std": 0.1 * (1 + seed), "noise_mode": mode}) for seed in range(3)]
    together = list(draws(cells, epoch=2))
    alone = list(draws(cells[1:2], epoch=2))
    resumed = list(itertools.islice(draws(cells, epoch=2), 1, None))
    for name in PLACES:
        assert all(torch.equal(a[name][1], b[name][0]) for a, b in zip(together, alone, strict=True))
        assert all(torch.equal(a[name], b[name]) for a, b in zip(together[1:], resumed, strict=True))
        assert not torch.equal(together[0][name], together[1][name])
        assert not torch.equal(together[0][name], next(draws(cells, epoch=3))[name])


def test_a_moment_within_an_epoch_has_noise_of_its_own(make_cell, draws):
    cells = [make_cell(0, training={"noise_std": 0.5, "noise_mode": "unit"})]
    fields = [next(draws(cells, epoch=epoch))["relu1.noise"] for epoch in (0, 0.25, 0.5, 1)]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(fields, 2))


def test_noise_is_normal_at_each_cells_own_level(make_cell, draws):
    levels = {"noise_mode": "unit", "noise_factor": 0.1, "epochs": 4}
    cells = [make_cell(seed, training={**levels, "noise_std": std}) for seed, std in enumerate((0.5, 2.0))]
    for epoch, factor in ((0, 1), (2, 0.1)):
        field = next(draws(cells, epoch, batch_sizes=(2000,)))["relu1.noise"].flatten(1)
        assert field.std(dim=1).tolist() == pytest.approx([0.5 * factor, 2.0 * factor], rel=0.02)
        assert (field.mean(dim=1) / field.std(dim=1)).tolist() == pytest.approx([0, 0], abs=0.02)
        share_within = (field.abs() < field.std(dim=1, keepdim=True)).double().mean(dim=1)
        assert share_within.tolist() == pytest.approx([0.6827] * 2, abs=0.01)


def test_affine_noise_has_a_gain_and_a_shift_of_each_unit_that_change_with_the_step(make_cell, draws):
    settings = {"noise_mode": "affine", "noise_std": 0.5}
    first, second = draws([make_cell(0, training=settings)], batch_sizes=(4000, 4000))
    for name in PLACES:
        gain_name = name.replace("noise", "gain")
        shift, gain = (first[one][0].mean(dim=0) for one in (name, gain_name))
        few = shift.numel() < 20
        assert shift.abs().max() < 0.51  # of a standard error of 0.001
        assert shift.std() == pytest.approx(0.5 / 3**0.5, rel=0.5 if few else 0.15)
        assert 0.99 < gain.min() < gain.max() < 1.26
        assert gain.std() == pytest.approx(0.25 / 12**0.5, rel=0.5 if few else 0.15)
        assert first[name][0].std(dim=0).mean() == pytest.approx(0.1 / 3**0.5, rel=0.02)
        assert first[gain_name][0].std(dim=0).mean() == pytest.approx(0.1, rel=0.02)
        for one in (name, gain_name):
            assert (second[one][0].mean(dim=0) - first[one][0].mean(dim=0)).abs().max() > 0.05


def test_a_noisy_relu_multiplies_and_shifts():
    x = torch.tensor([[1.0, -1.0, 2.0]])
    affine = noise.noisy(torch.nn.Sequential(torch.nn.ReLU()), "affine")
    state = {"0.gain": torch.tensor([2.0, 3.0, 1.0]), "0.noise": torch.tensor([-1.0, 4.0, -3.0])}
    assert torch.func.functional_call(affine, state, (x,)).tolist() == [[1.0, 1.0, 0.0]]
    assert affine(x).tolist() == [[1.0, 0.0, 2.0]]
    plain = noise.noisy(torch.nn.Sequential(torch.nn.ReLU()), "unit")
    assert [name for name, _ in plain.named_buffers()] == ["0.noise"]
