"""Luck Matters' dynamics in matrix form: batch averages of couplings and of activations multiplied (theorem 2)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "A student's matrix dynamics under the separation of couplings and activations (Luck Matters 2019).",
    "options": {
        "inputs": {"type": "int", "default": 10, "ge": 2, "meaning": "Inputs, standard normal."},
        "hidden": {"type": "int", "default": 20, "ge": 1, "meaning": "Hidden nodes of the teacher."},
        "outputs": {"type": "int", "default": 30, "ge": 1, "meaning": "Outputs."},
        "multiplier": {"type": "int", "default": 2, "ge": 1, "meaning": "Student nodes for every teacher node."},
        "update": {
            "choices": ("separated", "gradient"),
            "default": "separated",
            "meaning": "separated: the product of averages; gradient: the average of products, which is the gradient.",
        },
        "init_std": {"type": "float", "default": 0.1, "ge": 0, "meaning": "Standard deviation of the perturbation."},
        "rate": {"type": "float", "default": 0.05, "gt": 0, "meaning": "Learning rate."},
        "batch_size": {"type": "int", "default": 64, "ge": 1, "meaning": "Fresh samples of a step."},
        "steps": {"type": "int", "default": 20000, "ge": 1, "meaning": "Steps."},
        "records": {"type": "int", "default": 40, "ge": 1, "meaning": "Moments at which curves are kept."},
    },
    "quantities": {
        "smallest_relevant_row": {
            "label": "smallest relevant row",
            "meaning": "Smallest fan-out norm at the end of the nodes that started at a teacher node.",
        },
        "largest_relevant_row": {
            "label": "largest relevant row",
            "meaning": "Largest fan-out norm at the end of the nodes that started at a teacher node.",
        },
        "smallest_other_row": {"label": "smallest other row", "meaning": "Smallest fan-out norm of the other nodes."},
        "largest_other_row": {"label": "largest other row", "meaning": "Largest fan-out norm of the other nodes."},
        "bias_row": {"label": "bias row", "meaning": "Norm at the end of the biases that enter the outputs."},
        "dynamics_step": {"label": "step", "meaning": "Steps of the dynamics done."},
        "relevant_row_curve": {
            "label": "relevant rows",
            "meaning": "Mean fan-out norm of the nodes that started at a teacher node, against steps.",
        },
        "other_row_curve": {"label": "other rows", "meaning": "Mean fan-out norm of the other nodes, against steps."},
    },
}

DIMS = dict.fromkeys(("dynamics_step", "relevant_row_curve", "other_row_curve"), ("step",))
VALUES = (-0.5, -0.25, 0.0, 0.25, 0.5)  # of the teacher's weights before their rows are normalised


class Weights(NamedTuple):
    """Of S two-layer networks; the last column of each layer multiplies a constant 1.

    Attributes:
        into: ``[S, nodes, inputs + 1]``.
        out: ``[S, outputs, nodes + 1]``.
    """

    into: Tensor
    out: Tensor


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Run ``dW_l = L*_l W*_l H*_l - L_l W_l H_l`` on fresh batches, for every seed.

    For the layer with inputs f (the student's) and f* (the teacher's), 1 appended, ``H = E[f f']`` and
    ``H* = E[f* f']``; with D and D* the gates of the nodes that it feeds and V, V* what reads them,
    ``L = E[D V' V D]`` and ``L* = E[D V' V* D*]``, identities at the outputs. E is the mean over a batch. After each
    step every node's weights, bias included, are divided by their norm. The teacher's weights are drawn from
    -0.5, -0.25, 0, 0.25, 0.5, rows normalised, biases 0; the student's are N(0, init_std^2), plus the teacher's in the
    first nodes.

    With ``update: gradient`` the products are averaged instead: the exact gradient of the batch's loss.

    Args:
        point: Sizes, rate and steps.
        seeds: Numbers of the draws.
        device: Where it is computed; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``, and the curves ``[len(seeds), records + 1]``.

    Source: Tian et al. (2019), arXiv:1905.13405, theorem 2; the authors' code, ``test_multilayer``.
    """
    streams = [
        seeding.stream(seed, seeding.SIMULATION, point.inputs, point.hidden, point.outputs, point.multiplier)
        for seed in seeds
    ]
    drawn = [networks(point, stream) for stream in streams]
    teacher, student = (
        Weights(*(torch.stack(parts).to(device) for parts in zip(*(of[kind] for of in drawn), strict=True)))
        for kind in range(2)
    )
    update = separated if point.update == "separated" else gradient
    kept = {round(place * point.steps / point.records) for place in range(point.records + 1)}
    curves: dict[str, list[Tensor]] = {name: [] for name in DIMS}
    for step in range(point.steps + 1):
        if step in kept:
            rows = student.out.norm(dim=1)
            curves["dynamics_step"].append(torch.full_like(rows[:, 0], float(step)))
            curves["relevant_row_curve"].append(rows[:, : point.hidden].mean(dim=1))
            curves["other_row_curve"].append(rows[:, point.hidden : -1].mean(dim=1))
        if step < point.steps:
            x = torch.stack([torch.from_numpy(s.standard_normal((point.batch_size, point.inputs))) for s in streams])
            change = update(student, teacher, x.to(device))
            student = Weights(*(_unit(old + point.rate * by) for old, by in zip(student, change, strict=True)))
    rows = student.out.norm(dim=1)
    relevant, others = rows[:, : point.hidden], rows[:, point.hidden : -1]
    found = {name: torch.stack(values, dim=1) for name, values in curves.items()}
    found |= {"smallest_relevant_row": relevant.amin(dim=1), "largest_relevant_row": relevant.amax(dim=1)}
    none = torch.full_like(rows[:, 0], float("nan"))
    found["smallest_other_row"] = others.amin(dim=1) if others.shape[1] else none
    found["largest_other_row"] = others.amax(dim=1) if others.shape[1] else none
    found["bias_row"] = rows[:, -1]
    return {name: value.cpu() for name, value in found.items()}


def separated(student: Weights, teacher: Weights, x: Tensor) -> Weights:
    """The change of the student's weights with averages taken apart, theorem 2.

    Args:
        student: ``[S, ...]``.
        teacher: The same.
        x: ``[S, batch, inputs]``.
    """
    (ours, gates), (theirs, their_gates) = _forward(student, x), _forward(teacher, x)
    out = teacher.out @ _mean(theirs, ours) - student.out @ _mean(ours, ours)
    # The constant node, which no gate closes, couples to the others by the biases of the outputs.
    gates, their_gates = _with_one(gates), _with_one(their_gates)
    coupling = student.out.mT @ student.out * _mean(gates, gates)
    taught = student.out.mT @ teacher.out * _mean(gates, their_gates)
    inputs = _mean(_with_one(x), _with_one(x))
    into = taught @ _with_constant(teacher.into) @ inputs - coupling @ _with_constant(student.into) @ inputs
    return Weights(into[:, :-1], out)


def gradient(student: Weights, teacher: Weights, x: Tensor) -> Weights:
    """Minus the gradient of the batch's mean of ``|y - y*|^2 / 2``; arguments as of `separated`."""
    (ours, gates), (theirs, _) = _forward(student, x), _forward(teacher, x)
    error = theirs @ teacher.out.mT - ours @ student.out.mT
    at_nodes = error @ student.out[:, :, :-1] * gates
    return Weights(_mean(at_nodes, _with_one(x)), _mean(error, ours))


def numbers_per_draw(point: Point) -> int:
    """Weights, batch and the tables of pairs of nodes."""
    nodes = point.hidden * point.multiplier
    count: int = 4 * nodes * (nodes + point.inputs + point.outputs) + 4 * point.batch_size * (nodes + point.outputs)
    return count


def networks(point: Point, stream: np.random.Generator) -> tuple[Weights, Weights]:
    """One draw, without the first dimension: teacher and student, float64."""
    nodes = point.hidden * point.multiplier

    def taught(rows: int, columns: int) -> Tensor:
        found = torch.zeros(rows, columns + 1, dtype=torch.float64)
        while bool((empty := ~found.any(dim=1)).any()):
            again = stream.integers(len(VALUES), size=(int(empty.sum()), columns))
            found[empty, :-1] = torch.tensor(VALUES, dtype=torch.float64)[torch.from_numpy(again)]
        return _unit(found)

    teacher = Weights(taught(point.hidden, point.inputs), taught(point.outputs, point.hidden))
    into = point.init_std * torch.from_numpy(stream.standard_normal((nodes, point.inputs + 1)))
    out = point.init_std * torch.from_numpy(stream.standard_normal((point.outputs, nodes + 1)))
    into[: point.hidden] += teacher.into
    out[:, : point.hidden] += teacher.out[:, :-1]
    return teacher, Weights(_unit(into), _unit(out))


def _forward(network: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden values with 1 appended ``[S, batch, nodes + 1]``, and the nodes' gates ``[S, batch, nodes]``."""
    before = _with_one(x) @ network.into.mT
    return _with_one(before.clamp(min=0)), (before > 0).double()


def _with_one(values: Tensor) -> Tensor:
    return torch.cat([values, torch.ones_like(values[..., :1])], dim=-1)


def _with_constant(weights: Tensor) -> Tensor:
    """Weights ``[S, nodes, inputs + 1]`` with a last row that passes the constant 1 on."""
    constant = torch.zeros_like(weights[:, :1])
    constant[:, :, -1] = 1
    return torch.cat([weights, constant], dim=1)


def _mean(one: Tensor, other: Tensor) -> Tensor:
    """Mean over the batch of outer products, ``[S, n, m]``."""
    return one.mT @ other / one.shape[1]


def _unit(rows: Tensor) -> Tensor:
    unit: Tensor = rows / rows.norm(dim=-1, keepdim=True)
    return unit
