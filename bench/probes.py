"""Costly probes against named peers on this machine's processor: ``python -m bench.probes`` (``--toy``: that it runs).

One function per probe; each returns its rows. Peers come with ``pip install -e .[bench]``.
"""

import argparse
import functools
import time
from collections.abc import Callable

import pyhessian
import scipy.linalg
import torch
from torch import Tensor, nn

from bench import rows
from gengap import models
from gengap.engine import hessian, lanczos, spectra, stack
from gengap.engine.products import repeated_product
from gengap.settings import Loss, Model

LOSS = Loss(name="cross_entropy")  # No sample lies beyond a margin, so none can be left out.
TOLERANCE = 1e-3  # PyHessian's own.


def hessian_spectrum(*, toy: bool, repeats: int) -> list[rows.Row]:
    """All columns of the Hessian of a width-4 network on 30,000 images, against one double backward for each."""
    case = Case(width=2 if toy else 4, samples=100 if toy else 30_000)

    def ours() -> float:
        started = time.perf_counter()
        hessian.full_hessian(case.arch, case.state, case.images, case.targets, LOSS, through_batch=False, seed=0)
        return case.arch.n_parameters / (time.perf_counter() - started)

    parameters = list(case.network.parameters())
    gradient = torch.autograd.grad(
        case.mean_loss(case.network(case.images), case.targets), parameters, create_graph=True
    )
    vectors = [torch.randn_like(parameter) for parameter in parameters]

    def theirs(columns: int = 5) -> float:
        started = time.perf_counter()
        for _ in range(columns):
            torch.autograd.grad(gradient, parameters, vectors, retain_graph=True)
        return columns / (time.perf_counter() - started)

    name = f"probe/hessian_spectrum,parameters={case.arch.n_parameters},samples={len(case.images)}"
    return [
        rows.side_by_side(name, "double backward, graph kept", ours, theirs, unit="columns/s", repeats=repeats),
    ]


def hessian_extremes(*, toy: bool, repeats: int) -> list[rows.Row]:
    """Eigenvalues and trace by products, against PyHessian on one batch, whose graph it keeps; both in float64."""
    torch.set_default_dtype(torch.float64)  # PyHessian draws its vectors in the default dtype.
    try:
        return [
            *_extremes(Case(width=2 if toy else 4, samples=100 if toy else 1_000), repeats=repeats),
            *_extremes(Case(2 if toy else 4, 100 if toy else 1_000, classes=10), repeats=repeats, only="largest"),
        ]
    finally:
        torch.set_default_dtype(torch.float32)


def _extremes(case: "Case", *, repeats: int, only: str = "") -> list[rows.Row]:
    """Rows of one network.

    PyHessian stops once two products in a row change the eigenvalue by less than its tolerance, which says little of
    the error: it gets the tolerance at which a first run's error is at most ours.
    """
    size = case.arch.n_parameters
    data = (case.arch, case.state, case.images, case.targets, LOSS)
    exact = torch.linalg.eigvalsh(hessian.full_hessian(*data, through_batch=False, seed=0).matrix)
    # PyHessian finds eigenvalues by magnitude, one after the other: up to which does the smallest one take?
    by_magnitude = exact[exact.abs().argsort(descending=True)]
    count = 1 + int((by_magnitude == exact[0]).nonzero()[0])

    def peer() -> pyhessian.hessian:
        case.network.zero_grad(set_to_none=True)  # It adds to what is there, with its graph.
        return pyhessian.hessian(case.network, case.mean_loss, data=(case.images, case.targets), cuda=False)

    def ends(chosen: tuple[int, ...]) -> Callable[[], float]:
        def run() -> float:
            product = repeated_product(*data, through_batch=False)
            start = lanczos.start_vectors([0], 1, size)[0]
            found = lanczos.lanczos(product, start, 200, lambda so_far: so_far.within(0, TOLERANCE, chosen))
            values = found.ritz(0)[0]
            for end in chosen:
                assert abs(values[end] - exact[end]) <= TOLERANCE * abs(exact[end])
            return len(values)

        return per_minute(run)

    def their_tolerance() -> float:
        for tolerance in (TOLERANCE, TOLERANCE / 10, TOLERANCE / 100):
            if abs(peer().eigenvalues(tol=tolerance)[0][0] - exact[-1]) <= TOLERANCE * abs(exact[-1]):
                break
        return tolerance

    def our_trace() -> float:
        started = time.perf_counter()
        product = repeated_product(*data, through_batch=False)
        vectors = lanczos.start_vectors([0], 21, size)[0]
        search = lanczos.lanczos(product, vectors[:1], 200, lambda so_far: so_far.within(0, TOLERANCE))
        outside = vectors[1:] - (vectors[1:] @ search.basis[0].T) @ search.basis[0]
        draws = (outside * product(outside)).sum(dim=1)
        return len(draws) / draws.var().item() / (time.perf_counter() - started)

    def their_trace() -> float:
        started = time.perf_counter()
        draws = torch.tensor(peer().trace(maxIter=20, tol=0))
        return len(draws) / draws.var().item() / (time.perf_counter() - started)

    name = f"probe/hessian_extremes,parameters={size},outputs={case.outputs},samples={len(case.images)}"
    tolerance = their_tolerance()
    measured = {
        "both ends": (
            f"PyHessian, {count} eigenvalues until the smallest",
            ends((0, -1)),
            per_minute(lambda: peer().eigenvalues(tol=TOLERANCE, top_n=count)),
            "per minute",
        ),
        "largest": (
            f"PyHessian, tolerance {tolerance:g}",
            ends((-1,)),
            per_minute(lambda: peer().eigenvalues(tol=tolerance)),
            "per minute",
        ),
        "trace": ("PyHessian", our_trace, their_trace, "1/(variance s)"),
    }
    return [
        rows.side_by_side(f"{name}/{what}", other, ours, theirs, unit=unit, repeats=repeats)
        for what, (other, ours, theirs, unit) in measured.items()
        if only in ("", what)
    ]


def near_rank(*, toy: bool, repeats: int) -> list[rows.Row]:
    """Singular values of a first layer's outputs, as `near_rank` needs them, against LAPACK's divide and conquer.

    A LeNet's first convolution on 2,048 images of 28 x 28: 2,048 x 4,704 in float64; with a ReLU, and without one,
    where the rank is that of the images, 784, and the other values are zeros.
    """
    samples, size = (40, 8) if toy else (2048, 28)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(samples, 1, size, size, generator=generator, dtype=torch.float64)
    kernel = torch.randn(6, 1, 5, 5, generator=generator, dtype=torch.float64) / 5
    maps = nn.functional.conv2d(images, kernel, padding=2).flatten(1)
    measured = []
    for activation, matrix in (("relu", maps.relu()), ("identity", maps)):
        found, exact = spectra.singular_values(matrix, floor=1e-7), torch.linalg.svdvals(matrix)
        for threshold in (1e-4, 1e-5):
            assert (found < threshold).sum() == (exact < threshold).sum()
        peers = {"torch.linalg.svdvals": torch.linalg.svdvals, "scipy.linalg.svdvals": scipy.linalg.svdvals}
        measured += [
            rows.side_by_side(
                f"probe/near_rank,matrix={samples}x{maps.shape[1]},activation={activation}",
                peer,
                per_minute(functools.partial(spectra.singular_values, matrix, floor=1e-7)),
                per_minute(functools.partial(theirs, matrix if peer.startswith("torch") else matrix.numpy())),
                unit="per minute",
                repeats=repeats,
            )
            for peer, theirs in peers.items()
        ]
    return measured


class Case:
    """A width-`width` network that has learned for a moment, in evaluation mode and float64, and its data."""

    def __init__(self, width: int, samples: int, classes: int = 2) -> None:
        self.outputs = classes if classes > 2 else 1
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(samples, 3, 8, 8, generator=generator, dtype=torch.float64)
        scores = self.images.flatten(1) @ torch.randn(192, self.outputs, generator=generator, dtype=torch.float64)
        self.targets = scores.argmax(dim=1) if classes > 2 else scores[:, 0].sign().long()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network: nn.Module = models.build(Model(width=width), (3, 8, 8), self.outputs).double()
        optimizer = torch.optim.SGD(self.network.parameters(), lr=0.05, momentum=0.9)
        for at in range(300):
            batch = slice(at * 100 % samples, at * 100 % samples + 100)
            optimizer.zero_grad()
            self.mean_loss(self.network(self.images[batch]), self.targets[batch]).backward()
            optimizer.step()
        self.network.eval()
        self.arch = stack.architecture(self.network)
        self.state = {
            name: value[None].clone() for name, value in self.network.state_dict().items() if value.is_floating_point()
        }

    @staticmethod
    def mean_loss(outputs: Tensor, targets: Tensor) -> Tensor:
        """The logistic loss of one output, the cross-entropy of several."""
        if outputs.shape[1] > 1:
            return nn.functional.cross_entropy(outputs, targets)
        return nn.functional.softplus(-targets * outputs[:, 0]).mean()


def per_minute(run: Callable[[], object]) -> Callable[[], float]:
    """How often a function would run in a minute."""

    def rate() -> float:
        started = time.perf_counter()
        run()
        return 60 / (time.perf_counter() - started)

    return rate


PROBES = (hessian_spectrum, hessian_extremes, near_rank)


def main(*, toy: bool, repeats: int, only: str = "") -> list[rows.Row]:
    """Run every probe against its peers; `only` is the name of one."""
    chosen = [probe for probe in PROBES if only in ("", probe.__name__)]
    return [row for probe in chosen for row in probe(toy=toy, repeats=repeats)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="only show that it runs; writes nothing")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", choices=["", *(probe.__name__ for probe in PROBES)], help="one probe")
    options = parser.parse_args()
    measured = main(toy=options.toy, repeats=options.repeats, only=options.only)
    print(rows.show(measured))
    if not options.toy:
        kept = [row for row in rows.read("probes") if options.only and f"probe/{options.only}," not in row.case]
        rows.write("probes", kept + measured)
