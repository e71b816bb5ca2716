"""Students near a two-layer teacher converge to it, and the fan-out of the others vanishes (theorem 5)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gengap import seeding
from gengap.simulations.two_layer import Network, cosines, descend, loss, orthonormal
from gengap.simulations.two_layer import check as check
from gengap.studies.simulation import Point

PART = {
    "summary": "Students at a given overlap with a two-layer teacher, and random ones beside them (Luck Matters 2019).",
    "options": {
        "inputs": {"type": "int", "default": 20, "ge": 2, "meaning": "Dimension of the normal inputs."},
        "teacher_nodes": {"type": "int", "default": 5, "ge": 1, "meaning": "Hidden nodes of the teacher, orthonormal."},
        "outputs": {"type": "int", "default": 10, "ge": 1, "meaning": "Outputs."},
        "multiplier": {"type": "int", "default": 5, "ge": 1, "meaning": "Student nodes for every teacher node."},
        "overlap": {
            "type": "float",
            "default": 0.8,
            "gt": -1,
            "le": 1,
            "meaning": "Cosine between each teacher node and its lucky student at the start.",
        },
        "init_std": {"type": "float", "default": 0.1, "ge": 0, "meaning": "Standard deviation of the first fan-out."},
        "rate": {"type": "float", "default": 0.05, "gt": 0, "meaning": "Learning rate."},
        "steps": {"type": "int", "default": 4000, "ge": 1, "meaning": "Steps of gradient descent."},
        "records": {"type": "int", "default": 40, "ge": 1, "meaning": "Moments at which curves are kept."},
    },
    "quantities": {
        "lucky_overlap": {
            "label": "overlap of lucky nodes",
            "meaning": "Mean cosine between each teacher node and the student that started near it, at the end.",
        },
        "lucky_fan_out": {
            "label": "fan-out of lucky nodes",
            "meaning": "Mean fan-out norm at the end of the students that started near a teacher node.",
        },
        "unlucky_fan_out": {
            "label": "fan-out of unlucky nodes",
            "meaning": "Mean fan-out norm at the end of the students that started at random.",
        },
        "unlucky_fan_out_fall": {
            "label": "fall of the unlucky fan-out",
            "meaning": "Mean fan-out norm of the random students at the end over that at its largest.",
        },
        "steps_to_converge": {
            "label": "steps to converge",
            "meaning": "First step at which lucky students have a mean cosine of 0.99; not a number if none has.",
        },
        "relative_loss": {
            "label": "loss over the teacher's",
            "meaning": "Loss at the end divided by that of a student that says 0.",
        },
        "simulated_step": {"label": "step", "meaning": "Steps of gradient descent done."},
        "lucky_overlap_curve": {
            "label": "overlap of lucky nodes",
            "meaning": "Mean cosine between each teacher node and its lucky student, against steps.",
        },
        "lucky_fan_out_curve": {
            "label": "fan-out of lucky nodes",
            "meaning": "Mean fan-out norm of lucky students, against steps.",
        },
        "unlucky_fan_out_curve": {
            "label": "fan-out of unlucky nodes",
            "meaning": "Mean fan-out norm of the random students, against steps; not a number without any.",
        },
    },
}

DIMS = {name: ("step",) for name in PART["quantities"] if name.endswith(("_curve", "_step"))}
CONVERGED = 0.99


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Gradient descent on the exact loss over normal inputs, w_k kept at norm 1, for every seed.

    Teacher nodes w*_j are orthonormal, their fan-outs random and of norm 1. The first student of each has the cosine
    `overlap` with it, in a random direction otherwise; the others are random directions. All fan-outs start at
    N(0, init_std^2). The authors' code normalises w_k after every step too; the closed form is ours.

    Args:
        point: Sizes, overlap and steps.
        seeds: Numbers of the draws.
        device: Where it is computed; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``, and the curves ``[len(seeds), records + 1]``.
    """
    pairs = [networks(point, seed) for seed in seeds]
    teacher = Network(*(torch.stack(parts).to(device) for parts in zip(*(one for one, _ in pairs), strict=True)))
    student = Network(*(torch.stack(parts).to(device) for parts in zip(*(one for _, one in pairs), strict=True)))
    lucky = point.teacher_nodes
    kept = {round(place * point.steps / point.records) for place in range(point.records + 1)}
    curves: dict[str, list[Tensor]] = {name: [] for name in DIMS}
    first = torch.full((len(seeds),), math.nan, dtype=torch.float64, device=device)
    for step in range(point.steps + 1):
        overlap = cosines(student.into[:, :lucky], teacher.into).diagonal(dim1=1, dim2=2).mean(dim=1)
        first = torch.where(first.isnan() & (overlap >= CONVERGED), float(step), first)
        if step in kept:
            fan_out = student.out.norm(dim=1)
            curves["simulated_step"].append(torch.full_like(overlap, float(step)))
            curves["lucky_overlap_curve"].append(overlap)
            curves["lucky_fan_out_curve"].append(fan_out[:, :lucky].mean(dim=1))
            curves["unlucky_fan_out_curve"].append(fan_out[:, lucky:].mean(dim=1))
        if step < point.steps:
            student = descend(student, teacher, point.rate, unit_rows=True)
    found = {name: torch.stack(values, dim=1) for name, values in curves.items()}
    silent = Network(student.into, torch.zeros_like(student.out))
    unlucky = found["unlucky_fan_out_curve"]
    found |= {
        "lucky_overlap": found["lucky_overlap_curve"][:, -1],
        "lucky_fan_out": found["lucky_fan_out_curve"][:, -1],
        "unlucky_fan_out": unlucky[:, -1],
        "unlucky_fan_out_fall": unlucky[:, -1] / unlucky.amax(dim=1),
        "steps_to_converge": first,
        "relative_loss": loss(student, teacher) / loss(silent, teacher),
    }
    return {name: value.cpu() for name, value in found.items()}


def numbers_per_draw(point: Point) -> int:
    """Weights, and the tables of pairs of students."""
    nodes = point.teacher_nodes * point.multiplier
    count: int = 10 * nodes * (nodes + point.inputs + point.outputs)
    return count


def networks(point: Point, seed: int) -> tuple[Network, Network]:
    """One draw, without the first dimension: teacher and student, float64."""
    sizes = (point.inputs, point.teacher_nodes, point.outputs, point.multiplier)
    stream = seeding.stream(seed, seeding.SIMULATION, *sizes)

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(stream.standard_normal(shape))

    nodes = point.teacher_nodes * point.multiplier
    taught = orthonormal(normal(point.inputs, point.teacher_nodes))
    fan_out = normal(point.outputs, point.teacher_nodes)
    into = normal(nodes, point.inputs)
    aside = into[: len(taught)]
    aside = aside - (aside * taught).sum(dim=1, keepdim=True) * taught
    aside = aside / aside.norm(dim=1, keepdim=True)
    into = into / into.norm(dim=1, keepdim=True)
    into[: len(taught)] = point.overlap * taught + math.sqrt(1 - point.overlap**2) * aside
    started = point.init_std * normal(point.outputs, nodes)
    return Network(taught, fan_out / fan_out.norm(dim=0)), Network(into, started)
