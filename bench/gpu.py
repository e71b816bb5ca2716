"""Packs, and large networks, against plain PyTorch on the same GPU and its limits: ``python -m bench.gpu``.

Needs PyTorch and the packages that training imports; neither Snakemake nor DVC. ``--toy`` shows that it runs, on a
machine without a GPU as well; ``--only vgg-16`` runs the cases whose names have these words.
"""

import argparse
import functools
import gc
import sys
from collections.abc import Iterator

import torch

from bench import large_networks, packs, rows

PARTS = ("packs", "networks")


def main(
    *, toy: bool, repeats: int, parts: tuple[str, ...] = PARTS, only: str = ""
) -> Iterator[tuple[str, list[rows.Row]]]:
    """Run every case against every peer.

    Args:
        toy: Tiny sizes, which show only that the benchmark runs.
        repeats: Pairs per case and peer.
        parts: ``packs``, ``networks`` or both.
        only: Words that a case's name must have; empty for all cases.

    Yields:
        The part and the rows of one case, as soon as it is measured; no rows where memory ran out.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    measure = functools.partial(rows.side_by_side, repeats=repeats)
    for part in parts:
        cases = packs.cases if part == "packs" else large_networks.cases
        for name, case in cases(prefix(device), device, toy, measure):
            if only not in name:
                continue
            try:
                yield part, case()
            except torch.cuda.OutOfMemoryError:
                print(f"{name}: this GPU's memory is too small, left out", file=sys.stderr)
                yield part, []
            # PyTorch compiles one function only so many times before it gives up on it.
            torch._dynamo.reset()
            gc.collect()
            torch.cuda.empty_cache()


def prefix(device: str) -> str:
    """First part of a case's name."""
    return "gpu" if device == "cuda" else "toy"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="only show that it runs; writes nothing")
    parser.add_argument("--part", choices=PARTS, help="only packs or only large networks; both if it is left out")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="only cases with these words, e.g. vgg-16,batch_size=128"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if not options.toy and not torch.cuda.is_available():
        sys.exit(
            "PyTorch finds no GPU, so there is nothing to measure. `python -m bench.gpu --toy` shows that it runs."
        )
    measured: dict[str, list[rows.Row]] = {}
    wanted = (options.part,) if options.part else PARTS
    for which, found in main(toy=options.toy, repeats=options.repeats, parts=wanted, only=options.only):
        measured.setdefault(which, []).extend(found)
        print(rows.show(found), flush=True)
        if not options.toy and found:
            # After every case, so that a run that is cut short leaves what it has measured.
            rows.write(f"gpu_{which}", rows.joined(rows.read(f"gpu_{which}"), measured[which]))
