"""Packs against plain PyTorch on this machine's processor: ``python -m bench.cpu`` (``--toy`` to see that it runs)."""

import argparse
import functools
import importlib.util
import itertools
import os
import sys

from bench import ours, peers, rows, survey_networks

# width: (pack, steps of ours, steps of a single network). Enough work that one run takes about a second.
CASES = {4: (64, 20, 200), 16: (16, 40, 200), 64: (3, 60, 120)}
BATCH_SIZE = 128
JAX_PACKS = (1, 8, 16, 64)
JAX_SAMPLES = {4: 500_000, 16: 100_000, 64: 15_000}  # network-samples of one run: about a second


def steps(*, toy: bool, repeats: int, only: str = "") -> list[rows.Row]:
    """Every case against every peer.

    Args:
        toy: Tiny packs, few steps and no compilation: shows only that the benchmark runs.
        repeats: Pairs per case and peer.
        only: Words that a case's name must have; empty for all cases.
    """
    cores = len(os.sched_getaffinity(0))
    measure = functools.partial(rows.side_by_side, unit="samples/s", repeats=repeats)
    found = []
    for width, (pack, pack_steps, single_steps) in CASES.items():
        if toy:
            pack, pack_steps, single_steps = 2, 2, 4
        case = f"cpu/width={width},batch_size={BATCH_SIZE},pack={pack}"
        if only not in case:
            continue
        resident = peers.resident_loop(width, BATCH_SIZE, single_steps)
        with (
            ours.packs_side_by_side(width, BATCH_SIZE, pack_steps, pack, cores, compiled=not toy) as run,
            peers.process_loop(width, BATCH_SIZE, single_steps, cores) as one_per_core,
        ):
            against = {
                "plain loop with DataLoader": peers.dataloader_loop(width, BATCH_SIZE, single_steps),
                "resident loop": resident,
                "torch.func ensemble, eager": peers.ensemble_loop(width, BATCH_SIZE, pack_steps, pack),
                f"one process per core ({cores})": one_per_core,
            }
            found += [measure(case, peer, run, theirs) for peer, theirs in against.items()]
        # Never slower than one network alone: the smallest pack is a pack of one.
        single = ours.pack_loop(width, BATCH_SIZE, single_steps, 1, compiled=not toy)
        case = f"cpu/width={width},batch_size={BATCH_SIZE},pack=1"
        found.append(measure(case, "resident loop", single, resident))
    return found


def evaluation(*, toy: bool, repeats: int, only: str = "") -> list[rows.Row]:
    """What is left of the rate if every epoch ends with losses and accuracy over both whole sets.

    Args:
        toy: As for `steps`.
        repeats: Pairs per case.
        only: As for `steps`.
    """
    n_train, n_test = (256, 128) if toy else (234 * BATCH_SIZE, 10_000)
    found = []
    for width, (pack, *_) in CASES.items():
        pack = 2 if toy else pack
        if only not in f"cpu/width={width},pack={pack}":
            continue
        epoch = functools.partial(ours.epoch_loop, width, BATCH_SIZE, n_train, n_test, pack, compiled=not toy)
        alone = epoch()
        for mode in ("running", "exact"):
            case = f"cpu/width={width},pack={pack},evaluation={mode}"
            peer = "epoch without evaluation"
            found.append(rows.side_by_side(case, peer, epoch(mode), alone, unit="samples/s", repeats=repeats))
    return found


def against_jax(*, toy: bool, repeats: int, only: str = "") -> list[rows.Row]:
    """Every width in packs of 1 to 64, one pack and one per core, against JAX; no rows where JAX is not installed.

    Args:
        toy: As for `steps`.
        repeats: Pairs per case.
        only: As for `steps`.
    """
    if importlib.util.find_spec("jax") is None:
        print("JAX is not installed, so it is no peer: pip install -e .[bench]", file=sys.stderr)
        return []
    from bench import jax_peer

    found = []
    for width, pack in itertools.product((4,) if toy else CASES, (2,) if toy else JAX_PACKS):
        batch_size, n_steps = (8, 2) if toy else (BATCH_SIZE, max(4, JAX_SAMPLES[width] // (BATCH_SIZE * pack)))
        for processes in sorted({1, len(os.sched_getaffinity(0))}):
            case = f"cpu/width={width},batch_size={batch_size},pack={pack},processes={processes}"
            if only not in case:
                continue
            peer = f"JAX, {jax_peer.form_of(width)}"
            with (
                ours.packs_side_by_side(width, batch_size, n_steps, pack, processes, compiled=not toy) as run,
                jax_peer.packs_side_by_side(width, batch_size, n_steps, pack, processes) as theirs,
            ):
                found.append(rows.side_by_side(case, peer, run, theirs, unit="samples/s", repeats=repeats))
            print(rows.show(found[-1:]), flush=True)
    return found


PARTS = {
    "cpu": steps,
    "cpu_evaluation": evaluation,
    "cpu_survey": survey_networks.measured,
    "cpu_pruned": survey_networks.pruned,
    "cpu_jax": against_jax,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="only show that it runs; writes nothing")
    parser.add_argument("--part", choices=PARTS, help="only one part")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="only cases with these words, e.g. width=4,; not kept"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for part in [options.part] if options.part else PARTS:
        measured = PARTS[part](toy=options.toy, repeats=options.repeats, only=options.only)
        print(rows.show(measured))
        if not options.toy and not options.only:
            rows.write(part, measured)
