"""The workflow's own cost: planning a study of 10,000 cells, and all that is not training in one of 1,000.

python -m bench.workflow             both
python -m bench.workflow --plan      the plan alone, about a minute
python -m bench.workflow --epochs 2  less training per cell, so a larger share of the rest
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import rows

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("Snakefile", "rules", "workflow", "profiles", "src", "config/config.yaml", "config/reference")
CORES = 2
RATES = [0.01, 0.0125, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5]
RATES += [0.6, 0.8]
# Quickstart's cells: its data, network and budget.
STUDY = """\
title: Benchmark
base:
  dataset: {{name: gaussian, image_size: 8, n_train: 10000, n_test: 5000}}
  labels: {{name: teacher, train_size: 6000, test_size: 2000}}
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
# A process begins with the peak memory of the one that starts it, and PyTorch is large: this one is small.
MEASURE = """\
import resource, subprocess, sys, time
began = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(status, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def run(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Run Snakemake in a folder.

    Returns:
        Seconds, and the peak memory in MiB of its largest process.
    """
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-S", "-c", MEASURE, sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    status, seconds, kibibytes = done.stdout.split()
    if status != "0":
        sys.exit(f"snakemake failed:\n{done.stderr[-3000:]}")
    return float(seconds), int(kibibytes) / 1024


def project(folder: Path, study: str) -> Path:
    """A copy of the project with one study, called `large`."""
    for name in COPIED:
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
    (folder / "config/studies").mkdir()
    (folder / "config/studies/large.yaml").write_text(study)
    config = folder / "config/config.yaml"
    text = re.sub(r"^studies: .*$", "studies: [large]", config.read_text(), flags=re.MULTILINE)
    config.write_text(re.sub(r"^device: \w+", "device: cpu", text, flags=re.MULTILINE))
    return folder


def planning(scratch: Path, repeats: int) -> list[rows.Row]:
    """`snakemake -n` on 10,000 cells, in turn with the peer's."""
    widths = [4, 8, 16, 32, 64]
    probes = "[performance, {name: gradient, batchnorm: batch}, distance]"
    study = STUDY.format(epochs=20, widths=widths, rates=RATES, last_seed=99, probes=probes, pack_size=64)
    ours = project(scratch / "ours", study)
    theirs = scratch / "theirs"
    theirs.mkdir()
    (theirs / "Snakefile").write_text(f"WIDTHS, RATES = {widths}, {RATES}\n{PEER}")
    pairs = [(run(["-n"], ours), run(["-n", "--cores", "1"], theirs)) for _ in range(repeats + 1)][1:]
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


def running(scratch: Path, epochs: int, pack_size: int) -> rows.Row:
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
    )
    folder = project(scratch / "small", study)
    seconds, _ = run(["--cores", str(CORES)], folder)
    packs = sorted((folder / "results/large/logs/train").glob("*.log"))
    threads = max(1, CORES // len(packs))
    training = sum(_took(path.read_text()) for path in packs) * threads
    case = f"1,000 quickstart cells of width 4, {epochs} epochs, packs of {pack_size}, {CORES} cores"
    return rows.row(case, "its training loops alone", [(seconds * CORES, training)], unit="core s", less_is_better=True)


def _took(log: str) -> float:
    """Seconds in the loop, from the last line of progress."""
    hours, minutes, seconds = re.findall(r", took (?:(\d+) h )?(?:(\d+) min)?(?: ?(\d+) s)?$", log, re.MULTILINE)[-1]
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)


def main() -> None:
    """Measure, show, and write ``bench/results/workflow.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench.workflow", description=__doc__.splitlines()[0])
    parser.add_argument("--plan", action="store_true", help="the plan alone")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of plans (default: 3)")
    parser.add_argument("--epochs", type=int, default=20, help="of the cells that are trained (default: 20)")
    parser.add_argument("--pack-size", type=int, default=250, help="of the cells that are trained (default: 250)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = planning(Path(scratch), options.repeats)
        print(rows.show(found), flush=True)
        if not options.plan:
            found.append(running(Path(scratch), options.epochs, options.pack_size))
            print(rows.show(found[-1:]))
    rows.write("workflow", found)


if __name__ == "__main__":
    main()
