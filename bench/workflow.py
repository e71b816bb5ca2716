"""The workflow's own cost: planning a study of 10,000 cells, and all that is not training in one of 1,000.

python -m bench.workflow             both, about 25 minutes on two cores
python -m bench.workflow --plan      the plan alone, about a minute
python -m bench.workflow --epochs 2  less training per cell, so a larger share of the rest
python -m bench.workflow --slurm     10,000 tiny cells on real Slurm daemons, see bench/slurm.py, and nothing else
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import projects, rows, slurm
from gengap import layout

CORES = 2
RATES = [0.01, 0.0125, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5]
RATES += [0.6, 0.8]
# Images that a cell trains on: the quickstart's and Song's.
QUICKSTART, SONG = 6000, 30000
STUDY = """\
title: Benchmark
base:
  dataset: {{name: gaussian, image_size: 8, n_train: {pool}, n_test: 5000}}
  labels: {{name: teacher, train_size: {images}, test_size: {tested}}}
  schedule: {{name: multistep, milestones: [0.6, 0.85]}}
  training: {{batch_size: 128, epochs: {epochs}, snapshots: [0, 1]}}
grid: {{model.width: {widths}, optimizer.lr: {rates}, seed: 0..{last_seed}}}
probes: {probes}
figures: [accuracy_by_width, learning_curves]
tables: [final_performance]
pack_size: {pack_size}
"""
# The peer: what most workflows of experiments are, a wildcard for the cell and a job per cell and rule.
PEER = """\
CELLS = [f"width={w},lr={r},seed={s}" for w in WIDTHS for r in RATES for s in range(100)]
rule all:
    input: "measurements.csv"
rule train:
    output: "cells/{cell}/weights.h5"
    shell: "python train.py {wildcards.cell} {output}"
rule probe:
    input: "cells/{cell}/weights.h5"
    output: "cells/{cell}/performance.csv"
    shell: "python probe.py {input} {output}"
rule collect:
    input: expand("cells/{cell}/performance.csv", cell=CELLS)
    output: "measurements.csv"
    shell: "python collect.py {output}"
"""


def planning(scratch: Path, repeats: int) -> list[rows.Row]:
    """`snakemake -n` on 10,000 cells, in turn with the peer's."""
    widths = [4, 8, 16, 32, 64]
    probes = "[performance, {name: gradient, batchnorm: batch}, distance]"
    grid = {"widths": widths, "rates": RATES, "last_seed": 99, "pack_size": 64}
    study = STUDY.format(epochs=20, probes=probes, **_data(QUICKSTART), **grid)
    ours = projects.make(scratch / "ours", study)
    theirs = scratch / "theirs"
    theirs.mkdir()
    (theirs / "Snakefile").write_text(f"WIDTHS, RATES = {widths}, {RATES}\n{PEER}")
    pairs = [(projects.run(["-n"], ours), projects.run(["-n", "--cores", "1"], theirs)) for _ in range(repeats + 1)][1:]
    peer = "one Snakemake job per cell and rule, one probe"
    return [
        rows.row(
            f"snakemake -n, 10,000 cells, 3 probes: {what}",
            peer,
            [(one[place], other[place]) for one, other in pairs],
            unit=unit,
            less_is_better=True,
        )
        for place, what, unit in ((0, "time", "s"), (1, "peak memory", "MiB"))
    ]


def _data(images: int) -> dict[str, int]:
    return {"images": images, "tested": images // 3, "pool": 10000 if images == QUICKSTART else 2 * images}


def running(scratch: Path, images: int, epochs: int, pack_size: int) -> rows.Row:
    """A study of 1,000 cells, from nothing to its tables.

    What is compared: the cores' time from the start of Snakemake to its end, idle or not, and the part of it that the
    packs' logs say was spent in the training loops. The ratio is the loops' share.
    """
    study = STUDY.format(
        epochs=epochs,
        widths=[4],
        rates=RATES[:10],
        last_seed=99,
        probes="[{name: performance, epochs: last, batchnorm: running}]",
        pack_size=pack_size,
        **_data(images),
    )
    folder = projects.make(scratch / f"{images}", study)
    seconds, _ = projects.run(["--cores", str(CORES)], folder)
    packs = len(list((folder / layout.packs("large")).iterdir()))
    training = projects.in_loops(folder) * max(1, CORES // packs)
    case = f"1,000 cells of width 4, {images:,} images, {epochs} epochs, packs of {pack_size}, {CORES} cores"
    return rows.row(case, "its training loops alone", [(seconds * CORES, training)], unit="core s", less_is_better=True)


def main() -> None:
    """Measure, show, and write ``bench/results/workflow.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench.workflow", description=__doc__.splitlines()[0])
    parser.add_argument("--plan", action="store_true", help="the plan alone")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of plans (default: 3)")
    parser.add_argument("--epochs", type=int, default=20, help="of the cells that are trained (default: 20)")
    parser.add_argument("--pack-size", type=int, default=500, help="of the cells that are trained (default: 500)")
    parser.add_argument(
        "--slurm", action="store_true", help="10,000 tiny cells on real Slurm daemons, and nothing else"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # not at once: daemons of Slurm end with their block
    with tempfile.TemporaryDirectory() as scratch:
        for found in slurm.measured(Path(scratch)) if options.slurm else _on_this_machine(Path(scratch), options):
            print(rows.show(found), flush=True)
            measured = {row.case for row in found}
            rows.write("workflow", [row for row in rows.read("workflow") if row.case not in measured] + found)


def _on_this_machine(scratch: Path, options: argparse.Namespace) -> Iterator[list[rows.Row]]:
    yield planning(scratch, options.repeats)
    if not options.plan:
        for images in (QUICKSTART, SONG):
            yield [running(scratch, images, options.epochs, options.pack_size)]


if __name__ == "__main__":
    main()
