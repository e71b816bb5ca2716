"""Random projections P from d numbers to the D weights of a network, with columns of norm 1 (Li et al. 2018).

Each has `draw(d, n_weights, generator)`, the tensors of one network's P, never P itself but for `dense`;
`expand(projection, coordinates, n_weights)`, P theta_d, and `reduce(projection, weights, d)`, P' g, both for stacks:
``[K, d]`` to ``[K, D]`` and back.
"""

import math
from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

Projection = dict[str, Tensor]


class Kind(Protocol):
    """See the module."""

    def draw(self, d: int, n_weights: int, generator: Generator) -> Projection:
        """P of one network, drawn in float32 on the CPU."""

    def expand(self, projection: Projection, coordinates: Tensor, n_weights: int) -> Tensor:
        """P theta_d, ``[K, D]``."""

    def reduce(self, projection: Projection, weights: Tensor, d: int) -> Tensor:
        """P' g, ``[K, d]``."""


class Dense:
    """Normal numbers, every column divided by its norm: D d numbers."""

    def draw(self, d: int, n_weights: int, generator: Generator) -> Projection:
        """See `Kind`."""
        columns = torch.randn(n_weights, d, generator=generator)
        return {"columns": columns / columns.norm(dim=0)}

    def expand(self, projection: Projection, coordinates: Tensor, n_weights: int) -> Tensor:
        """See `Kind`."""
        return torch.einsum("kwd,kd->kw", projection["columns"], coordinates)

    def reduce(self, projection: Projection, weights: Tensor, d: int) -> Tensor:
        """See `Kind`."""
        return torch.einsum("kwd,kw->kd", projection["columns"], weights)


class Sparse:
    """In every column sqrt(D) normal numbers, one in each of as many equal parts of the weights, over their norm."""

    def draw(self, d: int, n_weights: int, generator: Generator) -> Projection:
        """See `Kind`."""
        count = max(1, round(math.sqrt(n_weights)))
        edges = torch.arange(count + 1) * n_weights // count
        widths = edges.diff()
        places = edges[:-1] + (torch.rand(d, count, generator=generator) * widths).long().clamp(max=widths - 1)
        values = torch.randn(d, count, generator=generator)
        return {"places": places, "values": values / values.norm(dim=1, keepdim=True)}

    def expand(self, projection: Projection, coordinates: Tensor, n_weights: int) -> Tensor:
        """See `Kind`."""
        parts = (projection["values"] * coordinates[:, :, None]).flatten(1)
        empty = coordinates.new_zeros(len(coordinates), n_weights)
        return empty.scatter_add(1, projection["places"].flatten(1), parts)

    def reduce(self, projection: Projection, weights: Tensor, d: int) -> Tensor:
        """See `Kind`."""
        gathered = weights.gather(1, projection["places"].flatten(1))
        return (gathered.view_as(projection["values"]) * projection["values"]).sum(dim=2)


class Fastfood:
    r"""``H G Pi H B``, cut to D rows and d columns: about 16 bytes for each of the L weights, L the next power of two.

    B has random signs, Pi permutes, G is normal and H is Hadamard's matrix. All L columns of the square product have
    norm ``sqrt(L sum G^2)``; the first D of their L entries have the norm ``sqrt(D sum G^2)``, but for chance.

    Source: Le, Sarlos and Smola (2013), Fastfood; Li et al. (2018), section S7.
    """

    def draw(self, d: int, n_weights: int, generator: Generator) -> Projection:
        """See `Kind`."""
        size = 1 << (max(d, n_weights) - 1).bit_length()
        normal = torch.randn(size, generator=generator)
        return {
            "signs": torch.randint(2, (size,), generator=generator).float() * 2 - 1,
            "order": torch.randperm(size, generator=generator),
            "normal": normal / (normal.double().square().sum() * n_weights).sqrt().float(),
        }

    def expand(self, projection: Projection, coordinates: Tensor, n_weights: int) -> Tensor:
        """See `Kind`."""
        size = projection["signs"].shape[1]
        mixed = hadamard(pad(coordinates, (0, size - coordinates.shape[1])) * projection["signs"])
        return hadamard(mixed.gather(1, projection["order"]) * projection["normal"])[:, :n_weights]

    def reduce(self, projection: Projection, weights: Tensor, d: int) -> Tensor:
        """See `Kind`."""
        size = projection["signs"].shape[1]
        mixed = hadamard(pad(weights, (0, size - weights.shape[1]))) * projection["normal"]
        back = torch.zeros_like(mixed).scatter(1, projection["order"], mixed)
        return (hadamard(back) * projection["signs"])[:, :d]


KINDS: dict[str, Kind] = {"dense": Dense(), "sparse": Sparse(), "fastfood": Fastfood()}


def hadamard(vectors: Tensor) -> Tensor:
    """Product with Sylvester's Hadamard matrix, not normalised: ``[K, L]``, L a power of two, in L log L additions."""
    count, size = vectors.shape
    half = 1
    while half < size:
        pairs = vectors.view(count, -1, 2, half)
        left, right = pairs[:, :, 0], pairs[:, :, 1]
        vectors = torch.stack([left + right, left - right], dim=2).view(count, size)
        half *= 2
    return vectors


def bytes_of(kind: str, d: int, n_weights: int) -> int:
    """Memory that P of one network takes in float32, with the vectors that a product with it needs."""
    if kind == "dense":
        return 4 * d * n_weights
    if kind == "sparse":
        return 24 * d * max(1, round(math.sqrt(n_weights)))
    return 48 * (1 << (max(d, n_weights) - 1).bit_length())
