"""Two-layer ReLU networks on standard normal inputs: overlaps of nodes and gradients of the loss in closed form.

A student y = V relu(W x) learns a teacher y* = V* relu(W* x) by L = E |y - y*|^2 / 2 over x ~ N(0, I), without biases.
All functions take S independent networks along the first dimension, in float64.

Source: Cho and Saul (2009), Kernel methods for deep learning, equations 1 to 6 (orders 0 and 1); Tian (2017),
arXiv:1703.00560, for the gradient.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gengap.errors import UserError
from gengap.studies.simulation import Point
from gengap.studies.sizes import Sizes


class Network(NamedTuple):
    """Weights of S networks.

    Attributes:
        into: W, what enters the nodes, ``[S, nodes, inputs]``.
        out: V, their fan-out, ``[S, outputs, nodes]``.
    """

    into: Tensor
    out: Tensor


def check(point: Point, data: Sizes | None) -> None:
    """Refuse more nodes of the teacher than there are orthogonal ones.

    Raises:
        UserError: With both numbers.
    """
    del data
    if point.teacher_nodes > point.inputs:
        raise UserError(
            f"teacher_nodes: {point.teacher_nodes} nodes cannot be orthogonal with {point.inputs} inputs. Raise "
            "`inputs`."
        )


def orthonormal(drawn: Tensor) -> Tensor:
    """The teacher's nodes ``[nodes, inputs]``, orthonormal, that span the columns of ``[inputs, nodes]``."""
    rows: Tensor = torch.linalg.qr(drawn)[0].mT
    return rows


def cosines(one: Tensor, other: Tensor) -> Tensor:
    """Cosines of the angles between the rows of ``[S, n, d]`` and of ``[S, m, d]``: ``[S, n, m]``."""
    lengths = one.norm(dim=2)[:, :, None] * other.norm(dim=2)[:, None]
    cosine: Tensor = ((one @ other.mT) / lengths.clamp(min=1e-300)).clamp(-1, 1)
    return cosine


def gate_overlap(one: Tensor, other: Tensor) -> Tensor:
    """Share of inputs that open both ReLUs, ``(pi - theta) / (2 pi)``."""
    return (math.pi - cosines(one, other).acos()) / (2 * math.pi)


def value_overlap(one: Tensor, other: Tensor) -> Tensor:
    """``E[relu(w x) relu(w' x)] = |w| |w'| (sin theta + (pi - theta) cos theta) / (2 pi)``."""
    cosine = cosines(one, other)
    angle = cosine.acos()
    lengths = one.norm(dim=2)[:, :, None] * other.norm(dim=2)[:, None]
    overlap: Tensor = lengths * ((1 - cosine.square()).sqrt() + (math.pi - angle) * cosine) / (2 * math.pi)
    return overlap


def loss(student: Network, teacher: Network) -> Tensor:
    """L of every network, ``[S]``."""
    ours, both, theirs = (
        (out.mT @ other_out * value_overlap(into, other)).sum(dim=(1, 2))
        for (into, out), (other, other_out) in ((student, student), (student, teacher), (teacher, teacher))
    )
    return ours / 2 - both + theirs / 2


def gradient(student: Network, teacher: Network) -> Network:
    """The derivatives of L with respect to the student's W and V."""
    out = student.out @ value_overlap(student.into, student.into)
    out = out - teacher.out @ value_overlap(teacher.into, student.into)
    return Network(_pull(student, student) - _pull(student, teacher), out)


def _pull(student: Network, other: Network) -> Tensor:
    """Sum over nodes k' of ``v_k . v_k' E[1(w_k x > 0) x relu(w_k' x)]`` for every student node k, ``[S, n, d]``.

    The expectation is ``((pi - theta) w_k' + |w_k'| sin theta w_k / |w_k|) / (2 pi)``.
    """
    coupling = student.out.mT @ other.out / (2 * math.pi)
    cosine = cosines(student.into, other.into)
    along_other = coupling * (math.pi - cosine.acos())
    sines = coupling * (1 - cosine.square()).sqrt() * other.into.norm(dim=2)[:, None]
    along_own = sines.sum(dim=2, keepdim=True) / student.into.norm(dim=2, keepdim=True).clamp(min=1e-300)
    pulled: Tensor = along_other @ other.into + along_own * student.into
    return pulled


def descend(student: Network, teacher: Network, lr: float, *, unit_rows: bool = False) -> Network:
    """One step of gradient descent; with `unit_rows`, every w_k is divided by its norm after it."""
    slope = gradient(student, teacher)
    into = student.into - lr * slope.into
    if unit_rows:
        into = into / into.norm(dim=2, keepdim=True).clamp(min=1e-300)
    return Network(into, student.out - lr * slope.out)
