"""Packs, and large networks, against plain PyTorch on the same GPU and its limits: ``python -m bench.gpu``.

Needs PyTorch and the packages that training imports; neither Snakemake nor DVC. ``--toy`` shows that it runs, on a
machine without a GPU as well; ``--only vgg-16`` runs the cases whose names have these words.
"""

import argparse
import functools
import gc
import sys
from collections.abc import Callable, Iterator

import torch

from bench import large_networks, limits, ours, peers, rows

WIDTHS, PACKS = (4, 16, 64), (64, 256, 1024)
PARTS = ("packs", "networks")

Case = Callable[[], list[rows.Row]]


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
        cases = packs if part == "packs" else large_networks.cases
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


def packs(start: str, device: str, toy: bool, measure: large_networks.Measure) -> Iterator[tuple[str, Case]]:
    """Song's network on 8 x 8 images: every width in every size of pack."""
    batch_size, steps, single_steps = (8, 2, 2) if toy else (128, 40, 200)
    for width in (4,) if toy else WIDTHS:
        for pack in (2,) if toy else PACKS:
            name = f"{start}/width={width},batch_size={batch_size},pack={pack}"

            def case(name: str = name, width: int = width, pack: int = pack) -> list[rows.Row]:
                run = ours.pack_loop(width, batch_size, steps, pack, device, compiled=device == "cuda")
                against = {
                    "plain loop with DataLoader": peers.dataloader_loop(width, batch_size, single_steps, device),
                    "resident loop": peers.resident_loop(width, batch_size, single_steps, device),
                }
                asked = limits.demand(peers.network(width, "meta"), (3, 8, 8))
                bound, at_most = limits.limit(asked, device, torch.float32, toy=toy)
                against[bound] = at_most
                return [measure(name, peer, run, theirs, unit="samples/s") for peer, theirs in against.items()]

            yield name, case


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
