"""The XOR detection problem: large and small networks, and a small one that starts from the large one's clusters."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gengap import seeding
from gengap.studies.simulation import Point

PART = {
    "summary": "XOR detection by a convolution of 2k filters, and by a small one from its clusters (Brutzkus 2019).",
    "options": {
        "pairs": {"type": "int", "default": 50, "ge": 2, "meaning": "k: filters that count for +1, as many for -1."},
        "patches": {"type": "int", "default": 10, "ge": 2, "meaning": "d: patches of two entries in one input."},
        "samples": {"type": "int", "default": 12, "ge": 2, "meaning": "Training samples."},
        "diverse": {
            "type": "float",
            "default": 0.5,
            "ge": 0,
            "le": 1,
            "meaning": "Share of training samples that are drawn until their class's patches are all there.",
        },
        "init_std": {"type": "float", "default": 0.001, "gt": 0, "meaning": "Standard deviation of the first weights."},
        "rate": {"type": "float", "default": 0.01, "gt": 0, "meaning": "Learning rate times k."},
        "steps": {"type": "int", "default": 20000, "ge": 1, "meaning": "Most steps of gradient descent."},
    },
    "quantities": {
        "xor_train_success": {"label": "zero training loss", "meaning": "1 if the hinge loss is 0, else 0."},
        "xor_success": {
            "label": "global minimum",
            "meaning": "1 if the hinge loss is 0 and every input of the domain is classified rightly, else 0.",
        },
        "xor_test_error": {
            "label": "test error",
            "unit": "%",
            "meaning": "Share of wrong signs over all inputs, exact: an output depends on the set of patterns.",
        },
        "xor_detected": {
            "label": "patterns detected",
            "unit": "%",
            "meaning": "Share of the four patterns for which an input of that pattern alone has the right sign.",
        },
        "xor_alignment": {
            "label": "alignment of the filters",
            "meaning": "Mean cosine of a filter and its closest pattern, weighted by the filter's norm.",
        },
        "xor_cluster_success": {
            "label": "global minimum from the clusters",
            "meaning": "As `xor_success`, of a network with k = 2 that starts from the cluster centres.",
        },
        "xor_cluster_test_error": {
            "label": "test error from the clusters",
            "unit": "%",
            "meaning": "As `xor_test_error`, of a network with k = 2 that starts from cluster centres.",
        },
    },
}

# Rows 0 and 1 are of positive samples, which have one of them at least; rows 2 and 3 may stand in every sample.
PATTERNS = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
# All sets of patterns that may stand in an input; row ``number - 1`` has the bits of `number`. A sample is one of them.
_SETS = torch.tensor([[bool(number >> place & 1) for place in range(4)] for number in range(1, 16)])
# Patterns come in pairs of opposite signs, and a filter answers to one of each pair. A kind of filter is the pattern to
# which it answers most and the one to which it answers less: it answers to a set by the first, if that is in it, else
# by the second.
_PAIRS = [(along, across) for along in (0, 1) for across in (2, 3)]
_KINDS = torch.tensor(_PAIRS + [(across, along) for along, across in _PAIRS])
_FIRST, _SECOND = PATTERNS[_KINDS].unbind(dim=1)
_BY_FIRST = _SETS[:, _KINDS[:, 0]].T.double()
_BY_SECOND = (_SETS[:, _KINDS[:, 1]] & ~_SETS[:, _KINDS[:, 0]]).T.double()
_CLUSTER_ROUNDS = 50
_LOOK_EVERY = 100  # steps after which networks that stand still leave


class Filters(NamedTuple):
    """Filters of S networks.

    Attributes:
        plus: Those that count for +1, ``[S, k, 2]``.
        minus: Those that count for -1, ``[S, k, 2]``.
    """

    plus: Tensor
    minus: Tensor


class _Answers(NamedTuple):
    """What filters of one sign answer to the two patterns that they answer to.

    Attributes:
        first: To the pattern they answer to most, ``[S, k]``.
        second: To the other one, ``[S, k]``.
        kinds: Rows of `_KINDS`, which say which patterns these are, int64 ``[S, k]``.
    """

    first: Tensor
    second: Tensor
    kinds: Tensor


def simulate(point: Point, seeds: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Train by gradient descent on the hinge loss, in float64, until the loss is 0 or `steps` are done.

    N(x) = sum_i max_j relu(w_i . x_j) - sum_i max_j relu(u_i . x_j) over the patches x_j in {-1, 1}^2 of x. A label is
    +1 if some patch is (1, 1) or (-1, -1). N depends on x by the set of its patterns alone, so the error on uniform
    inputs is exact. The small network starts from two cluster centres of w and two of u (k-means by Lloyd's rule,
    from the longest filter and the one farthest from it), scaled so that all filters of the large network count.

    Args:
        point: Sizes, rate and steps.
        seeds: Numbers of the draws.
        device: Where it is computed; the numbers are drawn on the CPU.

    Returns:
        Float64 ``[len(seeds)]``.

    Source: Brutzkus and Globerson (2019), Why do larger models generalize better?
    """
    drawn = [_drawn(point, seed) for seed in seeds]
    first = Filters(*(torch.stack([one[place] for one in drawn]).to(device) for place in (0, 1)))
    present = torch.stack([one[2] for one in drawn]).to(device)
    large = trained(first, present, point)
    small = trained(clusters(large), present, point)
    found = {f"xor_{name}": value for name, value in _measured(large, present, point.patches).items()}
    again = _measured(small, present, point.patches)
    found |= {"xor_cluster_success": again["success"], "xor_cluster_test_error": again["test_error"]}
    return {name: value.cpu() for name, value in found.items()}


def numbers_per_draw(point: Point) -> int:
    """Filters, their gradients and kinds, and the patterns of the samples with the sets they may be."""
    count: int = 100 * point.pairs + 20 * point.samples
    return count


def outputs(filters: Filters, present: Tensor) -> Tensor:
    """N of every sample, ``[S, n]``.

    Args:
        filters: The networks.
        present: Which of `PATTERNS` stand in a sample, bool ``[S, n, 4]``: one at least.
    """
    return _outputs_on_sets(filters).gather(1, _set_numbers(present))


def labels(present: Tensor) -> Tensor:
    """+1 where one of the first two patterns stands, else -1: ``[..., n]``."""
    return present[..., :2].any(dim=-1).double() * 2 - 1


def trained(filters: Filters, present: Tensor, point: Point) -> Filters:
    """The filters after gradient descent on the mean hinge loss, until no step moves them any more.

    Args:
        filters: The networks before.
        present: As `outputs` reads it.
        point: Rate and steps.
    """
    # Whole numbers, so that samples that pull both ways leave nothing: rounding would move a network that stands still.
    counts = (_set_numbers(present)[:, :, None] == torch.arange(len(_SETS), device=present.device)).sum(dim=1)
    pulls = labels(_SETS.to(present.device)) * counts.double()
    # The rate goes with 1 / k of the large network and of the small one alike.
    rate = point.rate / filters.plus.shape[1] / present.shape[1]
    result = Filters(*(part.clone() for part in filters))
    working = torch.arange(len(pulls), device=pulls.device)
    plus, minus = filters
    for step in range(point.steps):
        answers = [_answers(part) for part in (plus, minus)]
        margins = pulls.sign() * (_on_sets(answers[0]) - _on_sets(answers[1]))
        pull = torch.where(margins < 1, pulls, torch.zeros_like(pulls))
        before = plus, minus
        plus = plus + rate * _ascent(answers[0].kinds, pull)
        minus = minus - rate * _ascent(answers[1].kinds, pull)
        if step % _LOOK_EVERY == 0:
            moving = (plus != before[0]).flatten(1).any(dim=1) | (minus != before[1]).flatten(1).any(dim=1)
            for whole, part in zip(result, (plus, minus), strict=True):
                whole[working] = part
            working, pulls, plus, minus = working[moving], pulls[moving], plus[moving], minus[moving]
            if not len(working):
                break
    for whole, part in zip(result, (plus, minus), strict=True):
        whole[working] = part
    return result


def exact_error(filters: Filters, patches: int) -> Tensor:
    """Share of uniform inputs whose sign is wrong, exact, ``[S]``; a network that says 0 is wrong."""
    chances = [_share(int(size), patches) for size in _SETS.sum(dim=1)]
    wrong = labels(_SETS.to(filters.plus.device)) * _outputs_on_sets(filters) <= 0
    return (wrong * torch.tensor(chances, dtype=torch.float64, device=wrong.device)).sum(dim=1)


def clusters(filters: Filters) -> Filters:
    """Two cluster centres of each sign's filters, times half of their number: ``[S, 2, 2]`` each."""
    return Filters(_centres(filters.plus), _centres(filters.minus))


def _drawn(point: Point, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Filters of both signs, and the patterns that stand in each training sample."""
    samples = seeding.stream(seed, seeding.SIMULATION, point.patches, point.samples)  # the same for every k
    wide = seeding.stream(seed, seeding.SIMULATION, point.patches, point.samples, point.pairs)
    diverse = round(point.diverse * point.samples)
    rows: list[Tensor] = []
    while len(rows) < point.samples:
        chosen = torch.from_numpy(samples.integers(4, size=point.patches))
        present = torch.zeros(4, dtype=torch.bool)
        if len(rows) % 2:  # a negative sample, which has the last two patterns alone
            chosen = chosen % 2 + 2
        present[chosen] = True
        own = present[:2] if not len(rows) % 2 else present[2:]
        if (len(rows) % 2 == 0 and not present[:2].any()) or (len(rows) < diverse and not own.all()):
            continue
        rows.append(present)
    plus, minus = (torch.from_numpy(point.init_std * wide.standard_normal((point.pairs, 2))) for _ in range(2))
    return plus, minus, torch.stack(rows)


def _set_numbers(present: Tensor) -> Tensor:
    """The row of `_SETS` that each sample's patterns are, ``[S, n]``."""
    return (present * torch.tensor([1, 2, 4, 8], device=present.device)).sum(dim=2) - 1


def _answers(filters: Tensor) -> _Answers:
    """What filters of one sign ``[S, k, 2]`` answer; one that lies exactly between two patterns takes the first."""
    along, across = filters[..., 0] + filters[..., 1], filters[..., 0] - filters[..., 1]
    kinds = 2 * (along < 0).long() + (across < 0).long()
    along, across = along.abs(), across.abs()
    return _Answers(torch.maximum(along, across), torch.minimum(along, across), kinds + 4 * (along < across).long())


def _outputs_on_sets(filters: Filters) -> Tensor:
    """N of every set of patterns, ``[S, 15]``."""
    return _on_sets(_answers(filters.plus)) - _on_sets(_answers(filters.minus))


def _on_sets(answers: _Answers) -> Tensor:
    """``sum_i max_j relu(w_i . x_j)`` of every set of patterns x_j, ``[S, 15]``."""
    # Sums as a product: added one by one, their order on a GPU would change from run to run.
    of_kind = torch.nn.functional.one_hot(answers.kinds, len(_KINDS)).double()
    sums = torch.stack([answers.first, answers.second], dim=1) @ of_kind
    return sums[:, 0] @ _BY_FIRST.to(sums) + sums[:, 1] @ _BY_SECOND.to(sums)


def _ascent(kinds: Tensor, pull: Tensor) -> Tensor:
    """Gradient of ``sum_s pull_s sum_i max_j relu(w_i . x_j)`` over sets s of patterns, ``[S, k, 2]``."""
    by_first, by_second = pull @ _BY_FIRST.to(pull).T, pull @ _BY_SECOND.to(pull).T
    moves = by_first[:, :, None] * _FIRST.to(pull) + by_second[:, :, None] * _SECOND.to(pull)
    return moves.gather(1, kinds[:, :, None].expand(-1, -1, 2))


def _centres(filters: Tensor) -> Tensor:
    """Two centres of k-means, per network."""
    norms = filters.norm(dim=2)
    rows = torch.arange(len(filters), device=filters.device)
    one = filters[rows, norms.argmax(dim=1)]
    other = filters[rows, (filters - one[:, None]).norm(dim=2).argmax(dim=1)]
    centres = torch.stack([one, other], dim=1)
    for _ in range(_CLUSTER_ROUNDS):
        nearest = torch.cdist(filters, centres).argmin(dim=2)
        member = torch.nn.functional.one_hot(nearest, 2).to(filters)
        sums, counts = member.mT @ filters, member.sum(dim=1)[:, :, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return centres * filters.shape[1] / 2


def _measured(filters: Filters, present: Tensor, patches: int) -> dict[str, Tensor]:
    fits = (labels(present) * outputs(filters, present) >= 1).all(dim=1)
    error = exact_error(filters, patches)
    together = torch.cat(filters, dim=1)
    cosines = torch.nn.functional.normalize(together, dim=2) @ PATTERNS.to(together).T / math.sqrt(2)
    norms = together.norm(dim=2)
    single = torch.eye(4, dtype=torch.bool, device=together.device).expand(len(together), -1, -1)
    return {
        "train_success": fits.double(),
        "success": (fits & (error == 0)).double(),
        "test_error": error,
        "detected": (labels(single) * outputs(filters, single) > 0).double().mean(dim=1),
        "alignment": (cosines.amax(dim=2) * norms).sum(dim=1) / norms.sum(dim=1),
    }


def _share(size: int, patches: int) -> float:
    """Probability that the patterns of so many uniform patches are exactly one given set of this size."""
    found: float = sum(
        (-1) ** (size - some) * math.comb(size, some) * (some / 4) ** patches for some in range(size + 1)
    )
    return found
