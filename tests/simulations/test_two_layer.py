"""Closed forms for normal inputs against known angles, samples and autograd; theorem 2 where its assumption holds."""

import math

import numpy as np
import pytest
import torch
from torch.func import grad, vmap

from gengap.errors import UserError
from gengap.simulations import lottery, matrix_dynamics, near_teacher, two_layer
from gengap.simulations.two_layer import Network
from gengap.studies.simulation import Point

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def network(nodes, inputs=6, outputs=3, networks=2):
    return Network(normal(networks, nodes, inputs), normal(networks, outputs, nodes))


@pytest.mark.parametrize(
    ("angle", "gates", "values"),
    [(0.0, 1 / 2, 1 / 2), (math.pi / 2, 1 / 4, 1 / (2 * math.pi)), (math.pi, 0.0, 0.0)],
)
def test_overlaps_at_known_angles(angle, gates, values):
    one = torch.tensor([[[3.0, 0.0]]], dtype=torch.float64)
    other = 5 * torch.tensor([[[math.cos(angle), math.sin(angle)]]], dtype=torch.float64)
    assert two_layer.gate_overlap(one, other).item() == pytest.approx(gates, abs=1e-8)
    assert two_layer.value_overlap(one, other).item() == pytest.approx(15 * values, abs=1e-7)


def test_overlaps_are_means_over_normal_inputs():
    one, other, x = normal(1, 4, 3), normal(1, 5, 3), normal(400_000, 3)
    before = [x @ weights[0].T for weights in (one, other)]
    for overlap, samples in (
        (two_layer.gate_overlap, [(values > 0).double() for values in before]),
        (two_layer.value_overlap, [values.clamp(min=0) for values in before]),
    ):
        products = samples[0][:, :, None] * samples[1][:, None]
        error = products.std(dim=0) / len(x) ** 0.5
        assert ((products.mean(dim=0) - overlap(one, other)[0]).abs() < 5 * error).all()


@pytest.mark.parametrize("students", [1, 7])
def test_the_gradient_is_that_of_the_loss(students):
    student, teacher = network(students), network(4)

    def one_loss(into, out, of_into, of_out):
        return two_layer.loss(Network(into[None], out[None]), Network(of_into[None], of_out[None]))[0]

    # The angle of a node with itself has no derivative; any small turn of a copy gives the same limit.
    into, out = vmap(grad(one_loss, argnums=(0, 1)))(*student, *teacher)
    found = two_layer.gradient(student, teacher)
    torch.testing.assert_close(found.out, out, rtol=1e-9, atol=1e-10)
    steps = torch.eye(student.into[0].numel(), dtype=torch.float64)
    for network_number in range(2):
        for step in steps[:6]:
            move = 1e-6 * step.view(student.into.shape[1:])
            sides = [
                two_layer.loss(Network(student.into + sign * move, student.out), teacher)[network_number]
                for sign in (1, -1)
            ]
            slope = (found.into[network_number] * step.view_as(move)).sum().item()
            assert ((sides[0] - sides[1]) / 2e-6).item() == pytest.approx(slope, rel=1e-6, abs=1e-8)
    assert into.shape == found.into.shape


def test_a_student_that_contains_its_teacher_has_loss_and_gradient_zero():
    teacher, others = network(3), network(4)
    student = Network(torch.cat([teacher.into, others.into], dim=1), torch.cat([teacher.out, 0 * others.out], dim=2))
    assert two_layer.loss(student, teacher).abs().max() < 1e-12
    found = two_layer.gradient(student, teacher)
    assert found.into.abs().max() < 1e-7  # a cosine of 1 is known to half the digits
    assert found.out.abs().max() < 1e-7


WEIGHTS = {"inputs": 4, "hidden": 3, "outputs": 5, "multiplier": 2, "init_std": 0.4}


def weights(offset=0.0):
    point = Point.model_validate({"simulation": "matrix_dynamics", **WEIGHTS})
    drawn = [matrix_dynamics.networks(point, np.random.default_rng(seed)) for seed in range(2)]
    stacked = [
        matrix_dynamics.Weights(*(torch.stack(parts) for parts in zip(*of, strict=True)))
        for of in zip(*drawn, strict=True)
    ]
    for one in stacked:
        one.into[:, :, -1] += offset
    return stacked


def autograd(student, teacher, x):
    def loss(into, out, number):
        def said(a, b):
            hidden = torch.cat([x[number], torch.ones(len(x[number]), 1)], dim=1) @ a.T
            return torch.cat([hidden.clamp(min=0), torch.ones(len(hidden), 1)], dim=1) @ b.T

        difference = said(into, out) - said(teacher.into[number], teacher.out[number])
        return difference.square().sum(dim=1).mean() / 2

    found = [grad(loss, argnums=(0, 1))(student.into[n], student.out[n], n) for n in range(len(x))]
    return [-torch.stack(parts) for parts in zip(*found, strict=True)]


def test_the_exact_update_is_minus_autograds_gradient():
    teacher, student = weights()
    x = normal(2, 50, 4)
    found = matrix_dynamics.gradient(student, teacher, x)
    for one, expected in zip(found, autograd(student, teacher, x), strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-10, atol=1e-12)


def test_theorem_2_holds_where_couplings_do_not_depend_on_the_sample():
    """At the outputs always; below, where every gate is open. Elsewhere the separated update is another."""
    x = normal(2, 50, 4)
    for offset, exact in ((100.0, True), (0.0, False)):
        teacher, student = weights(offset)
        expected = autograd(student, teacher, x)
        found = matrix_dynamics.separated(student, teacher, x)
        torch.testing.assert_close(found.out, expected[1], rtol=1e-9, atol=1e-9)
        close = torch.allclose(found.into, expected[0], rtol=1e-9, atol=1e-7)
        assert close == exact


def test_the_dynamics_stay_at_the_teacher():
    settings = {**WEIGHTS, "multiplier": 1, "init_std": 0.0, "steps": 30, "records": 3}
    point = Point.model_validate({"simulation": "matrix_dynamics", **settings})
    found = matrix_dynamics.simulate(point, (0, 1), CPU)
    curve = found["relevant_row_curve"]
    assert curve.shape == (2, 4)
    torch.testing.assert_close(curve, curve[:, :1].expand(-1, 4), rtol=1e-9, atol=1e-9)
    assert found["dynamics_step"][0].tolist() == [0, 10, 20, 30]


def test_losers_of_the_matrix_dynamics_fade_and_winners_do_not():
    settings = {"inputs": 6, "hidden": 5, "outputs": 8, "steps": 2000, "records": 2}
    found = matrix_dynamics.simulate(Point.model_validate({"simulation": "matrix_dynamics", **settings}), (0, 1), CPU)
    assert (found["smallest_relevant_row"] > 0.5).all()
    assert (found["largest_other_row"] < 0.1).all()


def test_students_that_start_at_the_teacher_stay_there_and_the_others_fade():
    settings = {"inputs": 8, "teacher_nodes": 2, "outputs": 3, "multiplier": 3, "steps": 1500, "overlap": 1.0}
    found = near_teacher.simulate(Point.model_validate({"simulation": "near_teacher", **settings}), (0, 1, 2), CPU)
    assert (found["steps_to_converge"] == 0).all()
    assert (found["lucky_overlap"] > 0.999).all()
    assert (found["unlucky_fan_out"] < found["lucky_fan_out"] / 5).all()
    assert (found["relative_loss"] < 1e-3).all()


def test_lucky_students_start_at_the_cosine_asked_for():
    point = Point.model_validate({"simulation": "near_teacher", "overlap": 0.3, "teacher_nodes": 4})
    teacher, student = near_teacher.networks(point, 5)
    cosine = two_layer.cosines(student.into[None], teacher.into[None])[0, :4].diagonal()
    assert cosine.tolist() == pytest.approx([0.3] * 4)
    assert student.into.norm(dim=1).tolist() == pytest.approx([1.0] * 20)
    torch.testing.assert_close(teacher.into @ teacher.into.T, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("module", [near_teacher, lottery])
def test_more_teacher_nodes_than_inputs_are_refused(module):
    name = module.__name__.rpartition(".")[2]
    point = Point.model_validate({"simulation": name, "inputs": 4, "teacher_nodes": 5, "steps": 1})
    with pytest.raises(UserError, match="teacher_nodes: 5 nodes cannot be orthogonal with 4 inputs"):
        module.check(point, None)


def test_winners_are_pairs_in_the_order_of_their_cosines():
    cosine = torch.tensor([[[0.9, 0.8], [0.1, 0.7], [0.85, 0.2]], [[0.1, 0.2], [0.3, 0.1], [0.0, 0.0]]])
    assert lottery.winners(cosine).tolist() == [[True, True, False], [True, True, False]]


def test_a_lottery_of_as_many_nodes_as_the_teacher_has_resets_to_the_whole_student():
    """Then every node wins, so the reset student is the first one again, and there are no losers."""
    settings = {"inputs": 4, "student_nodes": 2, "steps": 300}
    found = lottery.simulate(Point.model_validate({"simulation": "lottery", **settings}), range(20), CPU)
    assert torch.equal(found["reset_success"], found["whole_success"])
    assert found["loser_success"].isnan().all()
    assert torch.equal(found["reset_advantage"], found["reset_success"] - found["fresh_success"])
    assert 0 < found["whole_success"].mean() <= 1


@pytest.mark.parametrize("name", ["near_teacher", "lottery", "matrix_dynamics"])
def test_a_draw_depends_on_its_seed_alone(name):
    point = Point.model_validate({"simulation": name, "inputs": 8, "steps": 20})
    module = {"near_teacher": near_teacher, "lottery": lottery, "matrix_dynamics": matrix_dynamics}[name]
    together, alone = module.simulate(point, (3, 5), CPU), module.simulate(point, (5,), CPU)
    for quantity, values in together.items():
        torch.testing.assert_close(values[1:], alone[quantity], rtol=1e-9, atol=1e-11, equal_nan=True)
