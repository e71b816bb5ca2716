"""Packs against plain PyTorch on this machine's processor: ``python -m bench.cpu`` (``--toy`` to see that it runs)."""

import argparse
import functools
import os

from bench import ours, peers, rows

# width: (pack, steps of ours, steps of a single network). Enough work that one run takes about a second.
CASES = {4: (64, 20, 200), 16: (16, 40, 200), 64: (3, 60, 120)}
BATCH_SIZE = 128


def main(*, toy: bool, repeats: int) -> list[rows.Row]:
    """Run every case against every peer.

    Args:
        toy: Tiny packs, few steps and no compilation: shows only that the benchmark runs.
        repeats: Pairs per case and peer.
    """
    cores = len(os.sched_getaffinity(0))
    found = []
    for width, (pack, pack_steps, steps) in CASES.items():
        if toy:
            pack, pack_steps, steps = 2, 2, 4
        case = f"cpu/width={width},batch_size={BATCH_SIZE},pack={pack}"
        run = ours.packs_side_by_side(width, BATCH_SIZE, pack_steps, pack, cores, compiled=not toy)
        against = {
            "plain loop with DataLoader": peers.dataloader_loop(width, BATCH_SIZE, steps),
            "resident loop": peers.resident_loop(width, BATCH_SIZE, steps),
            "torch.func ensemble, eager": peers.ensemble_loop(width, BATCH_SIZE, pack_steps, pack),
            f"one process per core ({cores})": peers.process_loop(width, BATCH_SIZE, steps, cores),
        }
        measure = functools.partial(rows.side_by_side, unit="samples/s", repeats=repeats)
        found += [measure(case, peer, run, theirs) for peer, theirs in against.items()]
        # Never slower than one network alone: the smallest pack is a pack of one.
        single = ours.pack_loop(width, BATCH_SIZE, steps, 1, compiled=not toy)
        case = f"cpu/width={width},batch_size={BATCH_SIZE},pack=1"
        found.append(measure(case, "resident loop", single, against["resident loop"]))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="only show that it runs; writes nothing")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    measured = main(toy=options.toy, repeats=options.repeats)
    print(rows.show(measured))
    if not options.toy:
        rows.write("cpu", measured)
