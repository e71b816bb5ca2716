"""How far the training loss can rise close to a network's weights: Keskar's sharpness."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gengap import seeding
from gengap.engine.graph.filter_normalization import with_scaled_filters, with_unit_filters
from gengap.engine.numerics.lbfgsb import Floats, Functions, maximise
from gengap.engine.stack import State, flatten, take, unflatten
from gengap.probes.averages import averaged, mean
from gengap.probes.context import Measurement, ProbeContext, finite
from gengap.studies.settings import Cell

PART = {
    "summary": "Largest rise of the training loss in a small box around the weights (Keskar 2017).",
    "reads": ("samples",),
    "options": {
        "draws": {"type": "int", "default": 3, "ge": 1, "meaning": "Random subspaces that are averaged over."},
        "iterations": {"type": "int", "default": 10, "ge": 1, "meaning": "Steps of L-BFGS-B."},
        "to_convergence": {
            "type": "int",
            "default": 0,
            "ge": 0,
            "meaning": "Most steps of a second search in the full space, to its end; 0: none.",
        },
        "rescaling": {
            "type": "float",
            "default": None,
            "gt": 0,
            "meaning": "Factor of all filters in front of a BatchNorm for `rescaled_sharpness`; null: not measured.",
        },
    },
    "quantities": {
        "sharpness": {
            "label": "sharpness",
            "symbol": "\\phi_{0.001}",
            "meaning": (
                "100 times the largest rise of the training loss f, in a box of relative size 0.001 "
                "around the weights, divided by 1 + f; in the full space."
            ),
            "rescaling_invariant": False,
        },
        "sharpness_in_half_box": {
            "label": "sharpness in half the box",
            "symbol": "\\phi_{0.0005}",
            "meaning": (
                "100 times the largest rise of the training loss f, in a box of relative size 0.0005 "
                "around the weights, divided by 1 + f; in the full space."
            ),
            "rescaling_invariant": False,
        },
        "subspace_sharpness": {
            "label": "subspace sharpness",
            "symbol": "\\phi_{0.001}",
            "meaning": (
                "100 times the largest rise of the training loss f, in a box of relative size 0.001 "
                "around the weights, divided by 1 + f; in a random subspace; mean over subspaces."
            ),
        },
        "subspace_sharpness_standard_error": {
            "label": "standard error of the subspace sharpness",
            "meaning": "Standard error of `subspace_sharpness`.",
        },
        "subspace_sharpness_in_half_box": {
            "label": "subspace sharpness in half the box",
            "symbol": "\\phi_{0.0005}",
            "meaning": (
                "100 times the largest rise of the training loss f, in a box of relative size 0.0005 "
                "around the weights, divided by 1 + f; in a random subspace; mean over subspaces."
            ),
        },
        "subspace_sharpness_in_half_box_standard_error": {
            "label": "standard error of the subspace sharpness in half the box",
            "meaning": "Standard error of `subspace_sharpness_in_half_box`.",
        },
        "normalized_sharpness": {
            "label": "normalized sharpness",
            "symbol": "\\phi_{0.001}",
            "meaning": (
                "100 times the largest rise of the training loss f, once filters in front of BatchNorm "
                "have norm 1, in a box of relative size 0.001 around the weights, divided by 1 + f; in "
                "the full space."
            ),
            "rescaling_invariant": False,
        },
        "normalized_sharpness_in_half_box": {
            "label": "normalized sharpness in half the box",
            "symbol": "\\phi_{0.0005}",
            "meaning": (
                "100 times the largest rise of the training loss f, once filters in front of BatchNorm "
                "have norm 1, in a box of relative size 0.0005 around the weights, divided by 1 + f; in "
                "the full space."
            ),
        },
        "normalized_subspace_sharpness": {
            "label": "normalized subspace sharpness",
            "symbol": "\\phi_{0.001}",
            "meaning": (
                "100 times the largest rise of the training loss f, once filters in front of BatchNorm "
                "have norm 1, in a box of relative size 0.001 around the weights, divided by 1 + f; in a "
                "random subspace; mean over subspaces."
            ),
        },
        "normalized_subspace_sharpness_standard_error": {
            "label": "standard error of the normalized subspace sharpness",
            "meaning": "Standard error of `normalized_subspace_sharpness`.",
        },
        "normalized_subspace_sharpness_in_half_box": {
            "label": "normalized subspace sharpness in half the box",
            "symbol": "\\phi_{0.0005}",
            "meaning": (
                "100 times the largest rise of the training loss f, once filters in front of BatchNorm "
                "have norm 1, in a box of relative size 0.0005 around the weights, divided by 1 + f; in a "
                "random subspace; mean over subspaces."
            ),
        },
        "normalized_subspace_sharpness_in_half_box_standard_error": {
            "label": "standard error of the normalized subspace sharpness in half the box",
            "meaning": "Standard error of `normalized_subspace_sharpness_in_half_box`.",
        },
        "converged_sharpness": {
            "label": "sharpness at convergence",
            "symbol": "\\phi_{0.001}",
            "meaning": (
                "100 times the largest rise of the training loss f, in a box of relative size 0.001 around the "
                "weights, divided by 1 + f; in the full space, by a search that went on until no step led higher."
            ),
        },
        "rescaled_sharpness": {
            "label": "rescaled sharpness",
            "symbol": "\\phi_{0.001}",
            "meaning": (
                "100 times the largest rise of the training loss f, once all filters in front of BatchNorm are "
                "multiplied by one factor, in a box of relative size 0.001 around the weights, divided by 1 + f; in"
                " the full space."
            ),
        },
        "converged_sharpness_in_half_box": {
            "label": "sharpness at convergence in half the box",
            "symbol": "\\phi_{0.0005}",
            "meaning": (
                "100 times the largest rise of the training loss f, in a box of relative size 0.0005 around the "
                "weights, divided by 1 + f; in the full space, by a search that went on until no step led higher."
            ),
        },
        "rescaled_sharpness_in_half_box": {
            "label": "rescaled sharpness in half the box",
            "symbol": "\\phi_{0.0005}",
            "meaning": (
                "100 times the largest rise of the training loss f, once all filters in front of BatchNorm are "
                "multiplied by one factor, in a box of relative size 0.0005 around the weights, divided by 1 + f; "
                "in the full space."
            ),
        },
        "converged_projected_gradient": {
            "label": "projected gradient at convergence",
            "meaning": (
                "Norm of the gradient where the longer search for the largest loss in the box ended, without what "
                "points out of the box; 0 at a maximum."
            ),
        },
        "sharpness_projected_gradient": {
            "label": "projected gradient of the sharpness",
            "meaning": (
                "Norm of the gradient where the search for the largest loss in the box ended, without "
                "what points out of the box; 0 at a maximum."
            ),
        },
    },
    "picture": {
        "quantity": "sharpness",
        "settings": {"epochs": (0, 20), "samples": 1000},
    },
}

EPS = {0.001: "sharpness", 0.0005: "sharpness_in_half_box"}
DIMENSION = 100  # of the random subspace
BUDGET = 500_000_000  # numbers that the networks measured together may hold: 4 GB


def measure(context: ProbeContext) -> list[Measurement]:
    """Maximise the mean training loss f over a box around the weights x (biases and BatchNorm's parameters included).

    ``phi = 100 (max_{z in C} f(x + A z) - f(x)) / (1 + f(x))`` with ``C = {z: |z_i| <= eps (|(A^+ x)_i| + 1)}`` for
    eps = 0.001 and 0.0005, by ten iterations of SciPy's L-BFGS-B from 0. In the full space A is the identity. In the
    subspace A is a Gaussian matrix with 100 columns of length 1, drawn only from the cell's seed, so that all
    checkpoints of a cell, both eps and both scalings share it; A^+ is its pseudo-inverse.

    The normalized sharpness is that of the same function (in mode ``batch`` the same up to BatchNorm's eps) with every
    filter in front of a BatchNorm rescaled to norm 1, see `gengap.engine.graph.filter_normalization`: as weights are
    far below 1, the box is close to an absolute one, and phi follows such a rescaling although the network does not.

    Ten iterations give a lower bound of the maximum. How much is missing shows in the projected gradient at the point
    reached: its Euclidean norm is 0 at a maximum. ``to_convergence`` adds a search in the full space that goes on, and
    ends where no step leads higher: at a local maximum at best. ``rescaling`` adds the ten iterations on the same
    function with all filters in front of a BatchNorm multiplied by one factor.

    All BatchNorm modes are allowed. In ``running`` and ``exact`` the statistics are those of x, and constant: f is the
    network as it is evaluated, whose normalisation does not undo the step. In ``batch`` each run of 1,000 samples is
    normalised again at x + A z, and the gradient flows through its statistics, as in the source.

    Cost: 2 eps x 2 scalings x (1 + draws) climbs of about 12 gradients of the whole set each, in float64; ``rescaling``
    adds 2 such climbs, ``to_convergence`` 2 of up to so many gradients. The matrix A takes 800 bytes per parameter.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` limits the images;
            ``options.iterations`` (10) are L-BFGS-B's; ``options.draws`` (3) is the number of subspaces;
            ``options.to_convergence`` (0) and ``options.rescaling`` (null) ask for the further climbs.

    Returns:
        float64 ``[K]``. With eps 0.001 ``sharpness`` and ``normalized_sharpness``, with eps 0.0005
        ``sharpness_in_half_box`` and ``normalized_sharpness_in_half_box``. Means over the subspaces, each with its
        ``_standard_error`` (from two draws on): ``subspace_sharpness``, ``normalized_subspace_sharpness``,
        ``subspace_sharpness_in_half_box``, ``normalized_subspace_sharpness_in_half_box``. The norms of the projected
        gradients as array ``sharpness_projected_gradient`` ``[K, 2, 2, 2]``: as it is or normalized, full space or
        mean over the subspaces, eps 0.001 or 0.0005. Where asked for, ``converged_sharpness`` and
        ``converged_sharpness_in_half_box``, with the array ``converged_projected_gradient`` ``[K, 2]``, and
        ``rescaled_sharpness`` and ``rescaled_sharpness_in_half_box``.

    Source: Keskar et al. (2017), arXiv:1609.04836, metric 2.1; Li et al. (2018), arXiv:1712.09913, for the scaling.
    """
    n_parameters, n_draws = context.arch.n_parameters, context.options.draws
    at_once = networks_at_once(n_parameters, context.train_images.device)
    parts: list[Tensor] = []
    further: list[list[Measurement]] = []
    for at in range(0, len(context.cells), at_once):
        here = slice(at, at + at_once)
        state = finite(take(context.state, here))
        scaled = with_unit_filters(context.arch, state, context.train_images[:10].double())
        climbs = [_climb(context, each, None) for each in (state, scaled)]
        drawn = []
        for draw in range(n_draws):
            bases = directions(context.cells[here], n_parameters, draw)
            bases = [basis.to(context.train_images.device) for basis in bases]
            drawn.append(torch.stack([_climb(context, each, bases) for each in (state, scaled)]))
        full, sub = torch.stack(climbs), torch.stack(drawn)  # [scalings, 2, eps, K], [draws, scalings, 2, eps, K]
        parts.append(torch.cat([full[None], sub]).movedim(-1, 0))
        further.append(_further(context, state))
    reached = torch.cat(parts)  # [K, 1 + draws, scalings, 2, eps]

    measured = []
    for s, scaling in enumerate(("", "normalized_")):
        for e, name in enumerate(EPS.values()):
            measured.append(Measurement(f"{scaling}{name}", reached[:, 0, s, 0, e]))
            measured += averaged(f"{scaling}subspace_{name}", reached[:, 1:, s, 0, e])
    gradients = torch.stack([reached[:, 0, :, 1], mean(reached[:, 1:, :, 1], 1)], dim=2)
    measured.append(Measurement("sharpness_projected_gradient", gradients, dims=("scaling", "space", "eps")))
    return measured + [_joined(of) for of in zip(*further, strict=True)]


def sharpness(functions: Functions, center: Floats, eps: float, iterations: int) -> tuple[Floats, Floats]:
    """Keskar's phi of K functions, and the norm of the projected gradient where the climb ended.

    Args:
        functions: Values and gradients at ``A z``; see `gengap.engine.numerics.lbfgsb.maximise`.
        center: ``A^+ x``, ``[K, p]``: the size of the box.
        eps: Its relative size.
        iterations: Of L-BFGS-B.

    Returns:
        Two arrays ``[K]``. phi is at least 0, and not a number where f(x) is none.
    """
    maxima = maximise(functions, eps * (np.abs(center) + 1), iterations)
    return 100 * (maxima.values - maxima.start) / (1 + maxima.start), maxima.projected_gradients


def directions(cells: Sequence[Cell], n_parameters: int, draw: int) -> list[Tensor]:
    """The matrix A of each cell: ``[n_parameters, 100]`` on the CPU, columns of length 1; fewer if there are fewer."""
    bases = []
    for cell in cells:
        generator = torch.Generator().manual_seed(seeding.torch_seed(cell.seed, seeding.PROBE, draw))
        size = (n_parameters, min(DIMENSION, n_parameters))
        basis = torch.randn(size, generator=generator, dtype=torch.float64)
        bases.append(basis / basis.norm(dim=0))
    return bases


def networks_at_once(n_parameters: int, device: torch.device) -> int:
    """How many networks climb together: on a CPU one, which is faster there; on a GPU what the memory holds."""
    return 1 if device.type == "cpu" else max(1, BUDGET // (n_parameters * (DIMENSION + 30)))  # L-BFGS-B holds some 30


def _further(context: ProbeContext, state: State) -> list[Measurement]:
    """The climbs that only options ask for, of some of the networks."""
    options, measured = context.options, []
    if options.to_convergence:
        reached, left = _climb(context, state, None, options.to_convergence)
        measured += _by_eps("converged_sharpness", reached)
        measured.append(Measurement("converged_projected_gradient", left.T, dims=("eps",)))
    if options.rescaling is not None:
        scaled = with_scaled_filters(context.arch, state, context.train_images[:10].double(), options.rescaling)
        measured += _by_eps("rescaled_sharpness", _climb(context, scaled, None)[0])
    return measured


def _by_eps(name: str, reached: Tensor) -> list[Measurement]:
    """One measurement for every eps of ``[eps, K]``."""
    names = (name, f"{name}_in_half_box")
    return [Measurement(each, values) for each, values in zip(names, reached, strict=True)]


def _joined(parts: Sequence[Measurement]) -> Measurement:
    """One quantity of all networks from those of its parts."""
    return dataclasses.replace(parts[0], values=torch.cat([part.values for part in parts]))


def _climb(
    context: ProbeContext, state: State, bases: Sequence[Tensor] | None, iterations: int | None = None
) -> Tensor:
    """Sharpness and projected gradient for every eps, ``[2, eps, K]``; by `options.iterations` if none are given."""
    arch, objective = context.arch, context.objective(state)
    x = flatten(arch, state)

    def functions(places: list[int], points: Floats) -> tuple[Floats, Floats]:
        z = torch.from_numpy(points).to(x)
        # One network at a time: the bits of a batched product depend on who else is in it.
        step = z if bases is None else torch.stack([bases[k] @ point for k, point in zip(places, z, strict=True)])
        moved = take(state, places) | unflatten(arch, x[places] + step)
        loss, gradient = objective.at(moved).loss_and_gradient()
        slope = flatten(arch, gradient)
        if bases is not None:
            slope = torch.stack([along @ bases[k] for k, along in zip(places, slope, strict=True)])
        return loss.cpu().numpy(), slope.cpu().numpy()

    if bases is None:
        center = x
    else:
        center = torch.stack([torch.linalg.lstsq(bases[k], x[k, :, None]).solution[:, 0] for k in range(len(x))])
    iterations = iterations or context.options.iterations
    climbs = [sharpness(functions, center.cpu().numpy(), eps, iterations) for eps in EPS]
    return torch.from_numpy(np.array(climbs)).movedim(1, 0)
