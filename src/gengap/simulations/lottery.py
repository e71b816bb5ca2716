"""Winners of a small student, reset and trained alone, against nodes drawn afresh (Luck Matters, Fig. 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gengap import seeding
from gengap.simulations.two_layer import Network, cosines, descend, loss, orthonormal
from gengap.simulations.two_layer import check as check
from gengap.studies.simulation import Point

PART = {
    "summary": "A lottery of nodes: winners reset and trained again, against as many drawn afresh (Luck Matters 2019).",
    "options": {
        "inputs": {"type": "int", "default": 10, "ge": 2, "meaning": "Dimension of the normal inputs."},
        "teacher_nodes": {"type": "int", "default": 2, "ge": 1, "meaning": "Filters of the teacher, orthonormal."},
        "student_nodes": {"type": "int", "default": 4, "ge": 1, "meaning": "Filters of the student."},
        "outputs": {"type": "int", "default": 1, "ge": 1, "meaning": "Outputs."},
        "init_std": {"type": "float", "default": 0.1, "gt": 0, "meaning": "Standard deviation of the first weights."},
        "rate": {"type": "float", "default": 0.1, "gt": 0, "meaning": "Learning rate."},
        "steps": {"type": "int", "default": 2000, "ge": 1, "meaning": "Steps of gradient descent."},
        "solved": {
            "type": "float",
            "default": 0.001,
            "gt": 0,
            "meaning": "Loss over that of a student that says 0, at or below which a student counts as successful.",
        },
    },
    "quantities": {
        "whole_success": {"label": "success of the whole student", "meaning": "1 if all its nodes succeed, else 0."},
        "reset_success": {
            "label": "success of the winners after a reset",
            "meaning": "1 if the winners alone succeed from their first weights, else 0.",
        },
        "fresh_success": {
            "label": "success of nodes drawn afresh",
            "meaning": "1 if as many nodes with new first weights succeed, else 0.",
        },
        "loser_success": {
            "label": "success of the losers after a reset",
            "meaning": "1 if as many of the other nodes succeed from their first weights, else 0.",
        },
        "reset_advantage": {
            "label": "advantage of the reset",
            "meaning": "Success of the winners after a reset minus that of nodes drawn afresh.",
        },
    },
}


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Train a student, keep one node per teacher node, and train these again from their start, for every seed.

    Teacher nodes are orthonormal and their fan-outs have norm 1; a student's weights start at N(0, init_std^2), and all
    of them are trained by gradient descent on the exact loss over normal inputs. The *winners* are the nodes with the
    largest cosine to a teacher node after training, different ones, the largest cosine first. Controls of as many
    nodes: weights drawn afresh, and the last of the nodes that did not win, from their own first weights.
    The paper's text does not print inputs, outputs, rates or a criterion; those here are ours.

    Args:
        point: Sizes, steps and criterion.
        seeds: Numbers of the draws.
        device: Where it is computed; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``. Not a number for losers where fewer than needed did not win.
    """
    drawn = [networks(point, seed) for seed in seeds]
    teacher, student, fresh = (
        Network(*(torch.stack(parts).to(device) for parts in zip(*(of[kind] for of in drawn), strict=True)))
        for kind in range(3)
    )
    trained = _trained(point, student, teacher)
    order = winners(cosines(trained.into, teacher.into)).double().argsort(dim=1, descending=True, stable=True)
    count = fresh.into.shape[1]
    again = {"reset": _nodes(student, order[:, :count]), "fresh": fresh, "loser": _nodes(student, order[:, -count:])}
    found = {"whole_success": _success(point, trained, teacher)}
    for name, nodes in again.items():
        found[f"{name}_success"] = _success(point, _trained(point, nodes, teacher), teacher)
    if 2 * count > point.student_nodes:  # some of the last nodes are winners
        found["loser_success"] = torch.full_like(found["loser_success"], float("nan"))
    found["reset_advantage"] = found["reset_success"] - found["fresh_success"]
    return {name: value.cpu() for name, value in found.items()}


def winners(cosine: Tensor) -> Tensor:
    """One student node for each teacher node, pairs in the order of their cosines; bool ``[S, students]``.

    Args:
        cosine: ``[S, students, teachers]``.
    """
    left = cosine.clone()
    won = torch.zeros(cosine.shape[:2], dtype=torch.bool, device=cosine.device)
    rows = torch.arange(len(cosine), device=cosine.device)
    for _ in range(min(cosine.shape[1:])):
        place = left.flatten(1).argmax(dim=1)
        student, teacher = place // cosine.shape[2], place % cosine.shape[2]
        won[rows, student] = True
        left[rows, student] = -torch.inf
        left[rows, :, teacher] = -torch.inf
    return won


def numbers_per_draw(point: Point) -> int:
    """Weights of all students, and the tables of pairs."""
    count: int = 20 * point.student_nodes * (point.student_nodes + point.inputs + point.outputs)
    return count


def networks(point: Point, seed: int) -> tuple[Network, Network, Network]:
    """One draw, without the first dimension: teacher, student, and as many nodes drawn afresh as can win; float64."""
    sizes = (point.inputs, point.teacher_nodes, point.outputs, point.student_nodes)
    stream = seeding.stream(seed, seeding.SIMULATION, *sizes)

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(stream.standard_normal(shape))

    def started(nodes: int) -> Network:
        return Network(point.init_std * normal(nodes, point.inputs), point.init_std * normal(point.outputs, nodes))

    taught = orthonormal(normal(point.inputs, point.teacher_nodes))
    fan_out = normal(point.outputs, point.teacher_nodes)
    teacher = Network(taught, fan_out / fan_out.norm(dim=0))
    return teacher, started(point.student_nodes), started(min(point.teacher_nodes, point.student_nodes))


def _nodes(network: Network, chosen: Tensor) -> Network:
    """The chosen nodes of every network, ``[S, chosen]``."""
    into = network.into.gather(1, chosen[:, :, None].expand(-1, -1, network.into.shape[2]))
    return Network(into, network.out.gather(2, chosen[:, None].expand(-1, network.out.shape[1], -1)))


def _trained(point: Point, student: Network, teacher: Network) -> Network:
    for _ in range(point.steps):
        student = descend(student, teacher, point.rate)
    return student


def _success(point: Point, student: Network, teacher: Network) -> Tensor:
    silent = Network(student.into, torch.zeros_like(student.out))
    solved: Tensor = loss(student, teacher) <= point.solved * loss(silent, teacher)
    return solved.double()
