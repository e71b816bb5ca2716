"""Both ends of the Hessian's spectrum, its trace and its density, of networks too large for the whole matrix."""

import numpy as np
import torch
from torch import Tensor

from gengap.engine.hessian.lanczos import Product, lanczos, start_vectors
from gengap.engine.hessian.repeated_hvp import repeated_product
from gengap.engine.stack import stacked, take
from gengap.probes.context import Measurement, ProbeContext, finite

PART = {
    "summary": "Both ends, trace and density of the Hessian's spectrum, by products with vectors.",
    "reads": ("samples",),
    "options": {
        "draws": {"type": "int", "default": 6, "ge": 1, "meaning": "Random vectors for trace and density."},
        "points": {"type": "int", "default": 1000, "ge": 1, "meaning": "Eigenvalues at which the density is given."},
    },
    "quantities": {
        "hessian_largest_residual": {
            "label": "bound of the error of the largest eigenvalue",
            "meaning": ("Residual norm of the largest Ritz value, within which there is an eigenvalue of the Hessian."),
        },
        "hessian_smallest_residual": {
            "label": "bound of the error of the smallest eigenvalue",
            "meaning": (
                "Residual norm of the smallest Ritz value, within which there is an eigenvalue of the Hessian."
            ),
        },
        "hessian_trace_standard_error": {
            "label": "standard error of the trace of the Hessian",
            "meaning": "Standard error of `hessian_trace` over the random vectors.",
        },
        "hessian_density": {
            "label": "density of the Hessian's eigenvalues",
            "symbol": "\\phi(\\lambda)",
            "meaning": (
                "Share of the Hessian's eigenvalues per unit, smoothed over a hundredth of the spectrum's "
                "width, at `hessian_density_at`."
            ),
        },
        "hessian_density_standard_error": {
            "label": "standard error of the density of the Hessian's eigenvalues",
            "meaning": "Standard error of `hessian_density` over the random vectors.",
        },
        "hessian_density_at": {
            "label": "eigenvalue",
            "symbol": "\\lambda",
            "meaning": "Where `hessian_density` is given.",
        },
    },
    "uses": ("hessian_largest", "hessian_smallest", "hessian_trace"),
    "picture": {
        "quantity": "hessian_density",
        "along": "hessian_density_at",
        "scale": "symlog",
        "settings": {"epochs": (0, 1, 20), "samples": 1000},
    },
}

TOLERANCE = 1e-4  # Relative error at which the search for both ends stops.
STEPS = 200  # Most steps of that search; fewer for networks whose vectors would take more than 2 GB.
DENSITY_STEPS = 30


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure H, the Hessian of the mean training loss with respect to all parameters, by its products with vectors.

    *Ends.* Lanczos' method with full reorthogonalisation, from one vector of random signs, until the largest and the
    smallest Ritz value have an estimated relative error of 1e-4. An eigenvalue lies within `hessian_largest_residual`
    of `hessian_largest`, for any estimate; the same holds for the smallest.

    *Trace.* With Q the m orthonormal vectors of that search and P = I - Q Q^T,
    ``tr H = tr(Q^T H Q) + tr(P H P)``: the first term is exact and holds the outliers, and the second is the mean of
    ``z^T P H P z`` over `draws` vectors z of random signs. Its standard error is that of the draws.

    *Density.* Lanczos quadrature: of each of the draws, 30 steps give Ritz values theta_i with weights w_i, and
    ``phi(x) = sum_i w_i N(x; theta_i, s^2)``, s a hundredth of the spectrum's width; mean over draws, integral 1.

    Everything is computed in float64, also for weights of another dtype. BatchNorm as in `hessian_spectrum`. Cost: a
    product per step and draw, ``m + 31 draws``; with the graph of the gradient kept, each costs about two gradients.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options``: `samples` limits the samples, `draws`
            (default 6) are the random vectors, `points` (default 1,000) those of the density.

    Returns:
        ``hessian_largest``, ``hessian_smallest`` and their ``_residual``; ``hessian_trace`` and its
        ``_standard_error``; each ``[K]``. ``hessian_density`` and its ``_standard_error`` at ``hessian_density_at``,
        each ``[K, points]``. Float64.

    Raises:
        ValueError: With fewer than two draws, or weights that are not finite.

    Source: Parlett (1980), chapter 13; Gambhir, Stathopoulos and Orginos (2017), arXiv:1603.05988, for the trace;
        Ghorbani, Krishnan and Xiao (2019), arXiv:1901.10159, section 2, for the density.
    """
    draws, points = context.options.draws, context.options.points
    if draws < 2:
        raise ValueError("one draw has no standard error. Set the probe's `draws` to 2 or more")
    rows = []
    for place, cell in enumerate(context.cells):
        product = repeated_product(context.objective(finite(take(context.state, [place]))))
        vectors = start_vectors([cell.seed], 1 + draws, context.arch.n_parameters)[0].to(context.train_images.device)
        row = _extremes(product, vectors[:1], vectors[1:], points)
        rows.append({quantity: torch.as_tensor(value, dtype=torch.float64) for quantity, value in row.items()})
    return [
        Measurement(quantity, values, dims=("eigenvalue",) * (values.dim() - 1))
        for quantity, values in stacked(rows).items()
    ]


def _extremes(product: Product, start: Tensor, draws: Tensor, points: int) -> dict[str, float | np.ndarray]:
    """All quantities of one matrix; `start` is ``[1, P]``, `draws` ``[draws, P]``."""
    steps = min(STEPS, max(20, 250_000_000 // start.shape[1]))
    search = lanczos(product, start, steps, lambda so_far: so_far.within(0, TOLERANCE))
    values, _, residuals = search.ritz(0)
    basis = search.basis[0, : len(values)]
    outside = draws - (draws @ basis.T) @ basis
    traces = (search.diagonal[0, : len(values)].sum() + (outside * product(outside)).sum(dim=1)).cpu().numpy()
    at, densities = lanczos_quadrature(product, draws, points, values[0], values[-1])
    root = len(draws) ** 0.5
    return {
        "hessian_largest": values[-1],
        "hessian_largest_residual": residuals[-1],
        "hessian_smallest": values[0],
        "hessian_smallest_residual": residuals[0],
        "hessian_trace": traces.mean(),
        "hessian_trace_standard_error": traces.std(ddof=1) / root,
        "hessian_density_at": at,
        "hessian_density": densities.mean(axis=0),
        "hessian_density_standard_error": densities.std(axis=0, ddof=1) / root,
    }


def lanczos_quadrature(
    product: Product, draws: Tensor, points: int, smallest: float, largest: float
) -> tuple[np.ndarray, np.ndarray]:
    """A matrix's spectral density by Lanczos' method from random vectors, as `measure` describes it.

    Args:
        product: Multiplies ``[draws, P]`` by the matrix.
        draws: Vectors of random signs, ``[draws, P]``.
        points: How many points of the density.
        smallest: Smallest eigenvalue.
        largest: Largest eigenvalue.

    Returns:
        The points, ``[points]``, and every draw's density there, ``[draws, points]``.
    """
    width = (largest - smallest) / 100 or 1.0  # A Hessian of zeros has all its density at 0.
    at = np.linspace(smallest - 5 * width, largest + 5 * width, points)
    quadrature = lanczos(product, draws, DENSITY_STEPS)
    densities = []
    for draw in range(len(draws)):
        values, weights, _ = quadrature.ritz(draw)
        bells = np.exp(-(((at[:, None] - values) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
        densities.append(bells @ weights)
    return at, np.stack(densities)
