"""The Hessian's largest eigenvalue, trace and density, against curvlinops, both at the same error.

Both sides have the same float64 weights and samples, and BatchNorm with constant statistics. The error of settings is
the root mean square over seeds of the relative error; a density's is the area between it and the density of all
eigenvalues, smoothed alike. Each side gets the settings that keep the error below a bound with the fewest products
with vectors. They are found with one product for both, and then timed with each side's own.
"""

import functools
import math
from collections.abc import Callable, Sequence

import curvlinops
import numpy as np
import torch
from curvlinops.papyan2020traces import spectrum
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from bench import rows
from bench.cases import Case, per_minute
from gengap.engine.hessian import full, lanczos
from gengap.engine.hessian.lanczos import Product
from gengap.engine.hessian.repeated_hvp import repeated_product
from gengap.probes.hessian_extremes import DENSITY_STEPS, STEPS, TOLERANCE, lanczos_quadrature
from gengap.studies.settings import Model

SIZES = ((4, 1_000), (16, 200), (64, 200))  # Widths and samples.
SEEDS = 10
LARGEST_ERROR, TRACE_ERROR, DENSITY_ERROR = 1e-3, 1e-2, 3e-2
WHOLE = 1_000  # Parameters up to which there is the whole Hessian, and with it trace and density.
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)
POINTS = 1000  # at which densities are compared
DRAWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
SAMPLES_AT_ONCE = 250  # With several vectors: the fastest of 50, 100, 250 and 1,000 for curvlinops.

Estimate = Callable[["Operator", int], Tensor]  # Of a seed.


def hessian_operators(*, toy: bool, repeats: int) -> list[rows.Row]:
    """All rows."""
    torch.set_default_dtype(torch.float64)
    try:
        found = []
        for width, samples in ((2, 100),) if toy else SIZES:
            case = Case(Model(width=width), samples, outputs=10)
            comparison = Comparison(case, repeats, seeds=3 if toy else SEEDS, loosened=10 if toy else 1)
            found += [comparison.products(1), comparison.products(8), comparison.largest()]
            if case.arch.n_parameters <= WHOLE:
                found += [comparison.trace(), comparison.density()]
        return found
    finally:
        torch.set_default_dtype(torch.float32)


class Operator:
    """A symmetric matrix known by its products, in our form, in curvlinops' and in SciPy's; counts the products."""

    def __init__(self, product: Product, size: int) -> None:
        self.product, self.shape, self.count = product, (size, size), 0
        self.device, self.dtype = torch.device("cpu"), torch.float64

    def __call__(self, vectors: Tensor) -> Tensor:
        """Of ``[T, P]``."""
        self.count += len(vectors)
        return self.product(vectors)

    def __matmul__(self, columns: Tensor) -> Tensor:
        """With ``[P, T]`` or ``[P]``."""
        return self(columns.T).T if columns.dim() == 2 else self(columns[None])[0]

    def to_scipy(self) -> LinearOperator:
        """Of the same products."""
        return LinearOperator(
            self.shape, matvec=lambda x: (self @ torch.from_numpy(x.ravel())).numpy(), dtype=np.float64
        )


class Comparison:
    """One network's Hessian: its reference, and a row per quantity.

    Args:
        case: The network and its data.
        repeats: Pairs to measure.
        seeds: How many the errors are those of.
        loosened: By how much the bounds on the errors are multiplied.
    """

    def __init__(self, case: Case, repeats: int, *, seeds: int, loosened: float) -> None:
        self.case, self.repeats, self.seeds, self.loosened = case, repeats, seeds, loosened
        size = case.arch.n_parameters
        if size <= WHOLE:
            matrix = full.full_hessian(case.objective, seed=0).matrix
            self.eigenvalues = torch.linalg.eigvalsh(matrix)
            self.exact_largest = self.eigenvalues[-1]
            self.operator = Operator(lambda vectors: vectors @ matrix, size)
        else:
            self.operator = Operator(self.ours(), size)
            self.exact_largest = _our_largest(self.operator, 0, tolerance=1e-12)

    def ours(self) -> Product:
        """Our product, with everything prepared that does not depend on the vector."""
        return repeated_product(self.case.objective)

    def theirs(self, samples_at_once: int | None = None) -> curvlinops.HessianLinearOperator:
        """Their operator, without its check, which costs two gradients and two products.

        Args:
            samples_at_once: Size of its batches; all samples if nothing is said.
        """
        images, targets = self.case.images, self.case.targets
        at_once = samples_at_once or len(images)
        batches = list(zip(images.split(at_once), targets.split(at_once), strict=True))
        network = self.case.network
        loss = nn.CrossEntropyLoss()
        return curvlinops.HessianLinearOperator(
            network, loss, list(network.parameters()), batches, check_deterministic=False, num_data=len(images)
        )

    def products(self, count: int) -> rows.Row:
        """Products with `count` vectors at once; what each side prepares is not counted."""
        product, operator = self.ours(), self.theirs(SAMPLES_AT_ONCE if count > 1 else None)
        vectors = lanczos.start_vectors([0], count, self.case.arch.n_parameters)[0]
        columns = vectors.T.contiguous()
        assert torch.allclose(product(vectors).T, operator @ columns)
        return self._row(f"product of {count}", "curvlinops", lambda: product(vectors), lambda: operator @ columns)

    def largest(self) -> rows.Row:
        """The largest eigenvalue."""
        return self._at_equal_error(
            "largest",
            "SciPy's eigsh",
            [functools.partial(_our_largest, tolerance=tolerance) for tolerance in TOLERANCES],
            [
                functools.partial(_their_largest, tolerance=tolerance, basis=basis)
                for basis in (6, 4, 8, 20)
                for tolerance in TOLERANCES
            ],
            lambda value: value / self.exact_largest - 1,
            LARGEST_ERROR,
        )

    def trace(self) -> rows.Row:
        """The trace."""
        return self._at_equal_error(
            "trace",
            "the better of Hutch++ and XTrace",
            [functools.partial(_our_trace, draws=draws) for draws in DRAWS],
            [
                functools.partial(_their_trace, estimator=estimator, products=products)
                for products in (24, 36, 48, 60, 72, 96, 120)
                for estimator in (curvlinops.hutchpp_trace, curvlinops.xtrace)
            ],
            lambda value: value / self.eigenvalues.sum() - 1,
            TRACE_ERROR,
            SAMPLES_AT_ONCE,
        )

    def density(self) -> rows.Row:
        """The density, of as many steps and as smooth as the probe's."""
        values = self.eigenvalues

        def error(found: Tensor) -> Tensor:
            at, density = found
            width = (values[-1] - values[0]) / 100
            bells = torch.exp(-(((at[:, None] - values) / width) ** 2) / 2) / (width * math.sqrt(2 * math.pi))
            return (density - bells.mean(dim=1)).abs().sum() * (at[1] - at[0])

        return self._at_equal_error(
            "density",
            "Lanczos quadrature",
            [functools.partial(_our_density, draws=draws) for draws in DRAWS],
            [functools.partial(_their_density, draws=draws) for draws in DRAWS],
            error,
            DENSITY_ERROR,
        )

    def _at_equal_error(
        self,
        quantity: str,
        method: str,
        ours: Sequence[Estimate],
        theirs: Sequence[Estimate],
        error: Callable[[Tensor], Tensor],
        bound: float,
        samples_at_once: int | None = None,
    ) -> rows.Row:
        """The cheapest of our settings against the cheapest of theirs."""
        bound *= self.loosened
        (our_count, mine), (their_count, other) = (self._cheapest(side, error, bound) for side in (ours, theirs))
        return self._row(
            quantity,
            f"curvlinops, {method}, {their_count:.0f} products; ours {our_count:.0f}; errors below {bound:g}",
            lambda: mine(Operator(self.ours(), self.operator.shape[0]), 0),
            lambda: other(self.theirs(samples_at_once), 0),
        )

    def _cheapest(
        self, settings: Sequence[Estimate], error: Callable[[Tensor], Tensor], bound: float
    ) -> tuple[float, Estimate]:
        """The settings with an error below the bound that take the fewest products; and how many, the seeds' mean."""
        best: tuple[float, Estimate] | None = None
        for estimate in settings:
            self.operator.count, squares = 0, []
            for seed in range(self.seeds):
                squares.append(error(estimate(self.operator, seed)).item() ** 2)
                if best and self.operator.count >= best[0] * self.seeds:
                    break
            else:
                if np.mean(squares) <= bound**2:
                    best = self.operator.count / self.seeds, estimate
        assert best, f"no settings have an error below {bound}"
        return best

    def _row(self, quantity: str, peer: str, ours: Callable[[], object], theirs: Callable[[], object]) -> rows.Row:
        name = f"probe/hessian_operators,{self.case.name}/{quantity}"
        sides = per_minute(ours), per_minute(theirs)
        return rows.side_by_side(name, peer, *sides, unit="per minute", repeats=self.repeats)


def _start(operator: Operator, seed: int, vectors: int) -> Tensor:
    return lanczos.start_vectors([seed], vectors, operator.shape[0])[0]


def _our_largest(operator: Operator, seed: int, *, tolerance: float) -> Tensor:
    """Lanczos' method until the estimated error is within the tolerance."""
    found = lanczos.lanczos(
        operator, _start(operator, seed, 1), STEPS, lambda so_far: so_far.within(0, tolerance, (-1,))
    )
    return torch.as_tensor(found.ritz(0)[0][-1])


def _their_largest(operator: Operator, seed: int, *, tolerance: float, basis: int) -> Tensor:
    """ARPACK's restarted Lanczos with so many vectors."""
    start = _start(operator, seed, 1)[0].numpy()
    values = eigsh(operator.to_scipy(), k=1, which="LA", v0=start, tol=tolerance, ncv=basis, return_eigenvectors=False)
    return torch.as_tensor(values[0])


def _our_trace(operator: Operator, seed: int, *, draws: int) -> Tensor:
    """As the probe: exact in the space of the search for both ends, and draws outside it."""
    vectors = _start(operator, seed, 1 + draws)
    search = lanczos.lanczos(operator, vectors[:1], STEPS, lambda so_far: so_far.within(0, TOLERANCE))
    basis = search.basis[0]
    outside = vectors[1:] - (vectors[1:] @ basis.T) @ basis
    return search.diagonal[0].sum() + (outside * operator(outside)).sum(dim=1).mean()


def _their_trace(operator: Operator, seed: int, *, estimator: Callable[..., Tensor], products: int) -> Tensor:
    torch.manual_seed(seed)
    return estimator(operator, products)


def _our_density(operator: Operator, seed: int, *, draws: int) -> Tensor:
    """As the probe, between the ends of a search: the points and the density there."""
    vectors = _start(operator, seed, 1 + draws)
    search = lanczos.lanczos(operator, vectors[:1], STEPS, lambda so_far: so_far.within(0, TOLERANCE))
    ends = search.ritz(0)[0][[0, -1]]
    at, found = lanczos_quadrature(operator, vectors[1:], POINTS, *ends)
    return torch.from_numpy(np.stack([at, found.mean(axis=0)]))


def _their_density(operator: Operator, seed: int, *, draws: int) -> Tensor:
    """The same between ends from ARPACK: `kappa` is that of bells as wide as ours, a hundredth of the spectrum."""
    torch.manual_seed(seed)
    margin = 0.05  # Its points reach as far beyond the ends as ours.
    width = 0.01 / (0.5 + margin)  # Where the points lie between -1 and 1.
    kappa = math.exp((2 / (DENSITY_STEPS - 1) / width) ** 2 / 8)
    at, found = spectrum.lanczos_approximate_spectrum(operator, DENSITY_STEPS, POINTS, draws, kappa, margin=margin)
    return torch.stack([at, found])
