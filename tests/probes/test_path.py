"""The line between two checkpoints: its ends are the checkpoints, its middle the mean of their weights."""

import dataclasses

import pytest
import subjects
import torch

from gengap import losses
from gengap.engine import evaluation, stack
from gengap.errors import UserError
from gengap.probes import path, performance

MODES = ["running", "batch", "exact"]
SPLITS = ("train", "test")


def along(made):
    return subjects.by_name(path.measure(made))


def at(made, state):
    """What the probe `performance` says of a state."""
    ready = evaluation.for_mode(made.arch, state, made.train_images, made.batchnorm)
    return subjects.by_name(performance.measure(dataclasses.replace(made, state=ready)))


@pytest.mark.parametrize("batchnorm", MODES)
def test_the_ends_are_the_checkpoints(batchnorm):
    made = subjects.subject({"name": "path", "batchnorm": batchnorm, "points": 7})
    found = along(made)
    assert found["path_position", ""].tolist() == [[-1, -0.5, 0, 0.5, 1, 1.5, 2]] * 2
    for place, state in ((2, made.start), (4, made.saved(2.0))):
        own = at(made, state)
        for split in SPLITS:
            for measure in ("loss", "accuracy"):
                expected = own[f"{split}_{measure}", ""]
                values = found[f"{split}_{measure}_along_path", ""][:, place]
                torch.testing.assert_close(values, expected, rtol=1e-12, atol=0)


def test_the_weights_at_the_ends_have_the_checkpoints_bits():
    made = subjects.subject({"name": "path"})
    a, b = (stack.take({n: v.float() for n, v in state.items()}, [0]) for state in (made.start, made.saved(2.0)))
    networks = path.line(made.arch, a, b, torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64))
    for name in a:
        assert torch.equal(networks[name][0], a[name][0])
        assert torch.equal(networks[name][2], b[name][0])
        expected = 0.7 * a[name][0] + 0.3 * b[name][0]
        torch.testing.assert_close(networks[name][1], expected)


@pytest.mark.parametrize("batchnorm", MODES)
def test_a_position_is_the_ordinary_module_with_those_weights(batchnorm):
    """At -1: 2 a - b, in mode exact with the statistics that this network has on the training set."""
    made = subjects.subject({"name": "path", "batchnorm": batchnorm, "points": 7}, seeds=(3,))
    found = along(made)
    network = subjects.one_network(made, 0)
    buffers = dict(network.named_buffers())
    first, last = made.start, made.saved(2.0)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(2 * first[name][0] - last[name][0])
            if name.endswith("running_var"):
                value.clamp_(min=torch.minimum(first[name][0], last[name][0]))
    if batchnorm == "exact":
        network.train()
        for layer in network.modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.momentum = 1.0
        count = len(made.train_images)
        network(made.train_images)
        # torch keeps the unbiased variance; the exact statistics are the biased ones, of 16, 4 and 1 places per image.
        for name, value in buffers.items():
            if name.endswith("running_var"):
                size = count * (1 if name.startswith("hidden") else 16 if name.startswith("block1") else 4)
                value.mul_((size - 1) / size)
        network.eval()
    sample_losses = losses.sample_losses(made.loss)
    with torch.no_grad():
        expected = sample_losses(network(made.test_images), made.test_targets).mean().item()
    assert found["test_loss_along_path", ""][0, 0].item() == pytest.approx(expected, rel=1e-9)


def test_variances_beyond_the_ends_stay_positive():
    made = subjects.subject({"name": "path", "batchnorm": "running"})
    networks = path.line(made.arch, *(stack.take(made.saved(e), [0]) for e in (2.0, 0.0)), path.positions(25))
    for name in made.arch.buffers:
        if name.endswith("running_var"):
            assert networks[name].min() >= 1  # that of the start; the line itself would reach below
    assert all(values.isfinite().all() for values in along(made).values())


def test_barrier_and_middle_of_a_known_curve():
    where = path.positions(7)
    curves = torch.tensor([[9.0, 5, 1, 4, 2, 5, 9], [9.0, 5, 1, 0.5, 2, 5, 9]], dtype=torch.float64)
    barrier, middle = path.barrier_and_middle(where, curves)
    assert barrier.tolist() == [2, 0]  # 4 above the higher end, 2; and a valley
    assert middle.tolist() == [4, 0.5]


@pytest.mark.parametrize("count", [7, 25, 31, 301])
def test_positions_have_both_ends_and_the_middle(count):
    where = path.positions(count)
    assert len(where) == count
    assert (where[0], where[-1]) == (-1, 2)
    assert {0.0, 0.5, 1.0} <= set(where.tolist())
    torch.testing.assert_close(where.diff(), torch.full((count - 1,), 3 / (count - 1), dtype=torch.float64))


def test_the_line_may_begin_at_another_epoch():
    made = subjects.subject({"name": "path", "points": 7, "from_epoch": 1.0})
    expected = at(made, made.saved(1.0))
    torch.testing.assert_close(
        along(made)["train_loss_along_path", ""][:, 2], expected["train_loss", ""], rtol=1e-12, atol=0
    )
    with pytest.raises(UserError, match=r"from_epoch: 1.5 was not saved .* Choose from: 0, 1, 2"):
        path.measure(subjects.subject({"name": "path", "from_epoch": 1.5}))


def test_two_cells_are_joined_as_two_epochs_are():
    """The networks of two seeds, as of a small and a large batch size."""
    made = subjects.subject({"name": "path", "batchnorm": "exact"})
    last = made.saved(2.0)
    first, second = (stack.take(last, [place]) for place in (0, 1))
    where = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    found = path.between(made, first, second, where)
    own = at(made, last)
    for split in SPLITS:
        for measure in ("loss", "accuracy"):
            values = found[f"{split}_{measure}"]
            assert values.shape == (1, 3)
            torch.testing.assert_close(values[0, [0, 2]], own[f"{split}_{measure}", ""], rtol=1e-12, atol=0)
    back = path.between(made, second, first, where)
    torch.testing.assert_close(back["train_loss"].flip(1), found["train_loss"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("batchnorm", MODES)
def test_a_cell_is_the_same_alone_and_in_a_pack(batchnorm, monkeypatch):
    made = subjects.subject({"name": "path", "batchnorm": batchnorm, "points": 7})
    whole = along(made)
    picked = dataclasses.replace(
        made,
        state=stack.take(made.state, [1]),
        cells=made.cells[1:],
        saved=lambda epoch: stack.take(made.saved(epoch), [1]),
    )
    for key, values in along(picked).items():
        assert torch.equal(values[0], whole[key][1]), key


def test_positions_in_parts_are_positions_at_once(monkeypatch):
    made = subjects.subject({"name": "path", "points": 7})
    whole = along(made)
    monkeypatch.setattr(path, "BUDGET", 2500)
    for key, values in along(made).items():
        torch.testing.assert_close(values, whole[key], rtol=1e-12, atol=0)


def test_fewer_samples_are_the_first_ones():
    made = subjects.subject({"name": "path", "points": 7, "samples": 10, "batchnorm": "running"})
    cut = dataclasses.replace(made, train_images=made.train_images[:10], train_targets=made.train_targets[:10])
    assert torch.equal(along(made)["train_loss_along_path", ""], along(cut)["train_loss_along_path", ""])
