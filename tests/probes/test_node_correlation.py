"""Correlations against numpy's, ranks by hand, and students that contain their teacher."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from subjects import by_name, subject

from gengap import models
from gengap.engine import activations, stack
from gengap.probes import node_correlation
from gengap.probes.context import Teacher
from gengap.probes.node_correlation import Comoments
from gengap.studies.settings import Model

MLP = {"model": {"name": "mlp", "width": 12, "depth": 2}}
SONG = {"model": {"name": "song", "width": 6, "head": "hidden"}}
LAYERS = {"mlp": ("linear1_relu", "linear2_relu"), "song": ("block1.relu1", "block1.relu2", "hidden.relu")}


def taught(settings, width=4, **options):
    """A subject whose student contains its teacher, at its last epoch and at the start."""
    made = subject({"name": "node_correlation", **options}, settings, seeds=(0, 3), epochs=(0.0, 1.0), n_train=60)
    model = Model.model_validate({**settings["model"], "width": width})
    network = models.build(model, made.train_images.shape[1:], 1).double()
    arch = stack.architecture(network)
    shapes = {name: value.shape for name, value in network.state_dict().items() if value.is_floating_point()}
    drawn = {name: 0.5 * torch.randn(1, *shape, dtype=torch.float64) for name, shape in shapes.items()}
    state = {name: v.abs() + 0.5 if "running_var" in name else v for name, v in drawn.items()}
    saved = {0.0: made.start, 1.0: made.saved(1.0), math.inf: made.saved(1.0)}
    return dataclasses.replace(made, teacher=Teacher(arch, state), saved=saved.__getitem__)


def containing(made, state):
    """An MLP's state with the teacher's hidden nodes first in every layer, and nothing else feeding them."""
    copied = {name: value.clone() for name, value in state.items()}
    for name, value in made.teacher.state.items():
        if name.startswith("linear"):
            nodes = copied[name][:, : value.shape[1]]
            nodes.zero_()
            nodes[..., : value.shape[-1]] = value
    return copied


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("settings", [MLP, SONG], ids=["mlp", "song"])
def test_correlations_are_numpys(settings, monkeypatch):
    monkeypatch.setattr(node_correlation, "_IMAGES", 7)
    made = taught(settings)
    found = by_name(node_correlation.measure(made))
    for layer in LAYERS[settings["model"]["name"]]:
        pair = [(made.teacher.arch, made.teacher.state, 0), (made.arch, made.state, 1)]
        rows = []
        for arch, state, place in pair:
            values = activations.activations(arch.evaluation, state, made.train_images, [layer])[layer][place]
            rows.append(values.movedim(1, 0).flatten(1).numpy())
        n_teacher = len(rows[0])
        with np.errstate(invalid="ignore", divide="ignore"):
            expected = np.corrcoef(*rows)[:n_teacher, n_teacher:]
        dead = [int((row.std(axis=1) == 0).sum()) for row in rows]
        rho = found["node_correlation", layer][1].numpy()
        np.testing.assert_allclose(rho, np.nan_to_num(expected), rtol=0, atol=1e-12)
        assert [found[f"dead_{who}_nodes", layer][1].item() for who in ("teacher", "student")] == dead
        live = rows[0].std(axis=1) > 0
        best = found["best_node_correlation", layer][1].item()
        assert best == pytest.approx(rho[live].max(axis=1).mean(), abs=1e-12)


def test_moments_do_not_cancel():
    """Mean 1e8 and spread 1: a sum of squares would leave no digit."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(1e8, 1, (3, 500)), generator.normal(-1e8, 1, (4, 500))
    y[0] += x[1]
    x[2], y[3] = 0.1, 1e8 / 3  # constant nodes
    moments = Comoments()
    for at in range(0, 500, 64):
        moments.add(torch.from_numpy(x.T[at : at + 64]), torch.from_numpy(y.T[at : at + 64]))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.nan_to_num(np.corrcoef(x - x[:, :1], y - y[:, :1])[:3, 3:])
    np.testing.assert_allclose(moments.correlation().numpy(), expected, rtol=0, atol=1e-12)
    assert [live.tolist() for live in moments.live] == [[True, True, False], [True, True, True, False]]


@pytest.mark.parametrize("epoch", [0.0, 1.0])
def test_a_student_that_contains_its_teacher_has_correlation_one_and_rank_zero(epoch):
    made = taught(MLP)
    saved = {at: containing(made, made.saved(at)) for at in (0.0, 1.0, math.inf)}
    made = dataclasses.replace(made, state=saved[epoch], saved=saved.__getitem__)
    found = by_name(node_correlation.measure(made))
    for layer in LAYERS["mlp"]:
        live = 4 - found["dead_teacher_nodes", layer][0].item()
        assert live >= 2
        assert found["best_node_correlation", layer].tolist() == pytest.approx([1, 1], abs=1e-12)
        assert found["final_winner_rank", layer].tolist() == [0, 0]
        assert found["winner_start_rank", layer].tolist() == [0, 0]


def test_both_ranks_counted_by_hand():
    """Ranks of the last winner at the measured epoch, and of the measured winner at the start."""
    made = taught(MLP)
    end = {name: value + 0.3 * torch.randn_like(value) for name, value in made.state.items()}
    saved = {0.0: made.start, 1.0: made.state, math.inf: end}
    made = dataclasses.replace(made, saved=saved.__getitem__)
    found = by_name(node_correlation.measure(made))
    for layer in LAYERS["mlp"]:
        rho = {
            at: node_correlation.correlations(made, made.teacher, state)[layer].rho[1, 0].tolist()
            for at, state in saved.items()
        }
        live = [j for j, row in enumerate(rho[1.0]) if any(row)]
        for quantity, winners, ranked in (("final_winner_rank", math.inf, 1.0), ("winner_start_rank", 1.0, 0.0)):
            ranks = []
            for j in live:
                winner = rho[winners][j].index(max(rho[winners][j]))
                ranks.append(sorted(rho[ranked][j], reverse=True).index(rho[ranked][j][winner]) / 11)
            assert found[quantity, layer][1].item() == pytest.approx(sum(ranks) / len(ranks), abs=1e-12)
            assert sum(ranks) > 0


def test_chance_is_the_best_of_as_many_shuffled_students():
    """About E[max of n normal numbers] / sqrt(N) for n independent students, and far below a teacher's own 1."""
    made = taught(MLP, draws=8)
    images = torch.randn(400, *made.train_images.shape[1:], dtype=torch.float64)
    saved = containing(made, made.state)
    made = dataclasses.replace(made, train_images=images, state=saved)
    found = by_name(node_correlation.measure(made))
    chance = found["best_node_correlation_by_chance", "linear1_relu"]
    error = found["best_node_correlation_by_chance_standard_error", "linear1_relu"]
    expected = 1.63 / 400**0.5  # of 12 numbers
    assert chance.numpy() == pytest.approx(expected, rel=0.35)
    assert (error > 0).all()
    assert (error < chance / 2).all()


def test_one_network_gives_the_same_bits_as_a_pack():
    made = taught(MLP)
    pack = by_name(node_correlation.measure(made))
    alone = dataclasses.replace(
        made,
        cells=made.cells[1:],
        state=stack.take(made.state, [1]),
        saved=lambda epoch: stack.take(made.saved(epoch), [1]),
    )
    for key, values in by_name(node_correlation.measure(alone)).items():
        assert torch.equal(values[0], pack[key][1]), key


def test_what_cannot_be_compared_is_said():
    made = taught(MLP)
    with pytest.raises(ValueError, match="there is no teacher"):
        node_correlation.measure(dataclasses.replace(made, teacher=None))
    with pytest.raises(ValueError, match="have no name in common"):
        node_correlation.measure(dataclasses.replace(made, teacher=taught(SONG).teacher))
