"""Both ends of the Hessian's spectrum and its trace, against PyHessian on one batch, whose graph it keeps."""

import functools
import time
from collections.abc import Callable

import pyhessian
import torch

from bench import rows
from bench.cases import LOGISTIC, Case, per_minute
from gengap.engine.hessian import full, lanczos
from gengap.engine.hessian.repeated_hvp import repeated_product
from gengap.studies.settings import Loss, Model

TOLERANCE = 1e-3  # PyHessian's own.
SEEDS = 3
HINGE = Loss(power=2.0)


def hessian_extremes(*, toy: bool, repeats: int) -> list[rows.Row]:
    """All rows."""
    torch.set_default_dtype(torch.float64)  # PyHessian draws its vectors in it, and networks their weights.
    try:
        found = _largest(toy=toy, repeats=repeats)
        case = Case(Model(width=2 if toy else 4), samples=100 if toy else 1_000)
        return [*found, _both_ends(case, repeats, toy=toy), _trace(case, repeats)]
    finally:
        torch.set_default_dtype(torch.float32)


def _largest(*, toy: bool, repeats: int) -> list[rows.Row]:
    """The largest eigenvalue alone: a row per network and loss, whose pairs are the seeds', and a row of all pairs.

    PyHessian stops once two products in a row change the eigenvalue by less than its tolerance, which says little of
    the error. So each side and seed has the largest of the tolerances 1e-3, 5e-4 ... with an error of at most 1e-3.
    """
    networks = [Model(width=2)] if toy else [Model(width=4), Model(width=6), Model(name="mlp", width=5)]
    pairs: dict[str, list[tuple[float, float]]] = {}
    for model in networks:
        for loss, outputs in ((LOGISTIC, 10), (HINGE, 1)):
            for seed in range(1 if toy else SEEDS):
                make = functools.partial(Case, model, 100 if toy else 1_000, outputs=outputs, loss=loss, seed=seed)
                exact = _spectrum(make())[-1].item()
                if exact == 0:
                    continue  # No sample is within the hinge's margin.
                for dtype in (torch.float64, torch.float32):
                    case = make(dtype=dtype)
                    torch.set_default_dtype(dtype)
                    ours, theirs = (
                        per_minute(functools.partial(side, case, seed, _needed(side, case, seed, exact)))
                        for side in (_largest_by_us, _largest_by_them)
                    )
                    measured = [(ours(), theirs()) for _ in range(repeats)]
                    for name in (f"{case.name},loss={loss.name}", "all networks and losses"):
                        pairs.setdefault(f"{name},{str(dtype)[6:]}", []).extend(measured)
                torch.set_default_dtype(torch.float64)
    peer = "PyHessian, errors of both below 1e-3"
    return [
        rows.row(f"probe/hessian_extremes,{name}/largest", peer, measured, unit="per minute")
        for name, measured in sorted(pairs.items())
    ]


def _largest_by_us(case: Case, seed: int, tolerance: float) -> float:
    return float(_search(case, seed, tolerance, (-1,))[-1])


def _largest_by_them(case: Case, seed: int, tolerance: float) -> float:
    torch.manual_seed(seed)
    return float(_peer(case).eigenvalues(maxIter=1000, tol=tolerance)[0][0])


def _needed(side: Callable[[Case, int, float], float], case: Case, seed: int, exact: float) -> float:
    """The largest tolerance at which the error is at most 1e-3."""
    tolerance = TOLERANCE
    while abs(side(case, seed, tolerance) - exact) > TOLERANCE * abs(exact):
        tolerance /= 2
        assert tolerance > 1e-9, "PyHessian has found an eigenvalue that is not the largest"
    return tolerance


def _both_ends(case: Case, repeats: int, *, toy: bool) -> rows.Row:
    """PyHessian finds eigenvalues by magnitude, one after the other: as many as it takes until the smallest.

    As a toy it finds two of them, which shows that it runs.
    """
    exact = _spectrum(case)
    by_magnitude = exact[exact.abs().argsort(descending=True)]
    count = 2 if toy else 1 + int((by_magnitude == exact[0]).nonzero()[0])

    def ours() -> None:
        values = _search(case, 0, TOLERANCE, (0, -1))
        for end in (0, -1):
            assert abs(values[end] - exact[end]) <= TOLERANCE * abs(exact[end])

    return rows.side_by_side(
        f"probe/hessian_extremes,{case.name}/both ends",
        f"PyHessian, {count} eigenvalues until the smallest",
        per_minute(ours),
        per_minute(lambda: _peer(case).eigenvalues(tol=TOLERANCE, top_n=count)),
        unit="per minute",
        repeats=repeats,
    )


def _trace(case: Case, repeats: int) -> rows.Row:
    """The rate is 1 / (variance x seconds): the ratio is that of the times to one standard error."""

    def ours() -> float:
        started = time.process_time()
        product = repeated_product(case.objective)
        vectors = lanczos.start_vectors([0], 21, case.arch.n_parameters)[0]
        search = lanczos.lanczos(product, vectors[:1], 200, lambda so_far: so_far.within(0, TOLERANCE))
        outside = vectors[1:] - (vectors[1:] @ search.basis[0].T) @ search.basis[0]
        draws = (outside * product(outside)).sum(dim=1)
        return len(draws) / draws.var().item() / (time.process_time() - started)

    def theirs() -> float:
        started = time.process_time()
        draws = torch.tensor(_peer(case).trace(maxIter=20, tol=0))
        return len(draws) / draws.var().item() / (time.process_time() - started)

    name = f"probe/hessian_extremes,{case.name}/trace"
    return rows.side_by_side(name, "PyHessian", ours, theirs, unit="1/(variance s)", repeats=repeats)


def _search(case: Case, seed: int, tolerance: float, ends: tuple[int, ...]) -> list[float]:
    """Ritz values, ascending, of Lanczos' method until the chosen ends are within the tolerance."""
    product = repeated_product(case.objective)
    start = lanczos.start_vectors([seed], 1, case.arch.n_parameters)[0]
    found = lanczos.lanczos(product, start, 200, lambda so_far: so_far.within(0, tolerance, ends))
    values: list[float] = found.ritz(0)[0].tolist()
    return values


def _peer(case: Case) -> pyhessian.hessian:
    case.network.zero_grad(set_to_none=True)  # It adds to what is there, with its graph.
    return pyhessian.hessian(case.network, case.mean_loss, data=(case.images, case.targets), cuda=False)


def _spectrum(case: Case) -> torch.Tensor:
    values: torch.Tensor = torch.linalg.eigvalsh(full.full_hessian(case.objective, seed=0).matrix)
    return values
