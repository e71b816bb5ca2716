"""Costly probes against named peers on this machine's processor: ``python -m bench.probes`` (``--toy``: that it runs).

One function per probe; each returns its rows. Both sides have one thread, and times are the processor's, which other
work on the machine changes little. Peers come with ``pip install -e .[bench]``.
"""

import argparse
import functools
import time

import scipy.linalg
import threadpoolctl
import torch
from torch import nn

from bench import rows
from bench.cases import Case, per_minute
from bench.extremes import hessian_extremes
from gengap.engine.hessian import full
from gengap.engine.numerics import singular_values
from gengap.studies.settings import Model


def hessian_spectrum(*, toy: bool, repeats: int) -> list[rows.Row]:
    """All columns of the Hessian of a width-4 network on 30,000 images, against one double backward for each."""
    case = Case(Model(width=2 if toy else 4), samples=100 if toy else 30_000)

    def ours() -> float:
        started = time.process_time()
        full.full_hessian(case.objective, seed=0)
        return case.arch.n_parameters / (time.process_time() - started)

    parameters = list(case.network.parameters())
    gradient = torch.autograd.grad(
        case.mean_loss(case.network(case.images), case.targets), parameters, create_graph=True
    )
    vectors = [torch.randn_like(parameter) for parameter in parameters]

    def theirs(columns: int = 5) -> float:
        started = time.process_time()
        for _ in range(columns):
            torch.autograd.grad(gradient, parameters, vectors, retain_graph=True)
        return columns / (time.process_time() - started)

    name = f"probe/hessian_spectrum,parameters={case.arch.n_parameters},samples={len(case.images)}"
    return [
        rows.side_by_side(name, "double backward, graph kept", ours, theirs, unit="columns/s", repeats=repeats),
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
        found, exact = singular_values.singular_values(matrix, floor=1e-7), torch.linalg.svdvals(matrix)
        for threshold in (1e-4, 1e-5):
            assert (found < threshold).sum() == (exact < threshold).sum()
        peers = {"torch.linalg.svdvals": torch.linalg.svdvals, "scipy.linalg.svdvals": scipy.linalg.svdvals}
        measured += [
            rows.side_by_side(
                f"probe/near_rank,matrix={samples}x{maps.shape[1]},activation={activation}",
                peer,
                per_minute(functools.partial(singular_values.singular_values, matrix, floor=1e-7)),
                per_minute(functools.partial(theirs, matrix if peer.startswith("torch") else matrix.numpy())),
                unit="per minute",
                repeats=repeats,
            )
            for peer, theirs in peers.items()
        ]
    return measured


def hessian_operators(*, toy: bool, repeats: int) -> list[rows.Row]:
    """The Hessian's largest eigenvalue, trace and density, against curvlinops."""
    from bench import operators  # requirements.lock has no curvlinops, which the other rows do without.

    return operators.hessian_operators(toy=toy, repeats=repeats)


PROBES = (hessian_spectrum, hessian_extremes, hessian_operators, near_rank)


def main(*, toy: bool, repeats: int, only: str = "") -> list[rows.Row]:
    """Run every probe against its peers; `only` is the name of one."""
    chosen = [probe for probe in PROBES if only in ("", probe.__name__)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):  # SciPy's
            return [row for probe in chosen for row in probe(toy=toy, repeats=repeats)]
    finally:
        torch.set_num_threads(threads)


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
