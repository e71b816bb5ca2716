"""What a cluster costs: 10,000 tiny cells on real Slurm daemons of this machine, from nothing to tables and figures.

Cells that train for a second show what everything else costs. A smaller study in packs of 10, each pack two jobs, shows
what a job costs; the same with several packs in a job, what that saves. Needs root and Slurm (`make test-slurm`).
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.cluster import daemons

from bench import projects, rows

# The pretend node has more cores than the machine, so its GPUs are what limits the packs that run at once.
GPUS = 2
POLLS = ("--slurm-init-seconds-before-status-checks", "5")  # this is one machine and no login node
PROFILE = ("--profile", "profiles/slurm", "--local-cores", "1", *POLLS)
STUDY = """\
title: Benchmark
base:
  dataset: {{name: gaussian, image_size: 8, n_train: 400, n_test: 200}}
  labels: {{name: teacher, train_size: 60, test_size: 30, minority_share: 0.2}}
  training: {{batch_size: 20, epochs: 1, snapshots: [0, 1]}}
grid: {{model.width: [2, 3, 4, 5], optimizer.lr: [0.01, 0.02, 0.03, 0.04, 0.05], seed: 0..{last_seed}}}
probes: [performance]
figures: [accuracy_by_width]
tables: [final_performance]
pack_size: {pack_size}
"""
WIDTHS_AND_RATES = 20
PARTS = ((10_000, 250, 1), (40, 10, 1), (40, 10, 2))  # cells, cells of a pack, packs of a job


@dataclass(frozen=True)
class Run:
    """One run of Snakemake with profiles/slurm.

    Attributes:
        cells: Cells of the study.
        seconds: From Snakemake's start to its end.
        mebibytes: Most memory that Snakemake itself held.
        jobs: That Slurm ran.
        job_seconds: Sum of the times that Slurm's jobs ran.
        loop_seconds: Sum of the times that packs spent in their training loops.
    """

    cells: int
    seconds: float
    mebibytes: float
    jobs: int
    job_seconds: float
    loop_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.cells:,} cells: {self.seconds:.0f} s, Snakemake {self.mebibytes:.0f} MiB; {self.jobs} jobs of "
            f"{self.job_seconds / self.jobs:.1f} s each, training loops {self.loop_seconds:.0f} s"
        )


def measured(scratch: Path) -> Iterator[list[rows.Row]]:
    """Plan and run on daemons that are started for it; the rows of one part after the other.

    Args:
        scratch: An empty folder, for the projects.
    """
    if why := daemons.missing():
        sys.exit(f"error: {why}")
    with daemons.running(Path(f"/tmp/gengap-bench-{os.getpid()}"), gpus=GPUS) as slurm:
        yield _plans(scratch, slurm)
        for cells, pack_size, packs_per_job in PARTS:
            together = f", {packs_per_job} packs in a job" if packs_per_job > 1 else ""
            case = f"Slurm, {cells:,} tiny cells, packs of {pack_size}{together}"
            run = _run(scratch / f"{cells}-{pack_size}-{packs_per_job}", slurm, cells, pack_size, packs_per_job)
            print(f"{case}: {run}", flush=True)
            yield _rows(case, run)


def _plans(scratch: Path, slurm: Mapping[str, str]) -> list[rows.Row]:
    """`snakemake -n` on 10,000 cells, in packs of 250 and of 10."""
    folders = [projects.make(scratch / f"plan {size}", _study(10_000, size)) for size in (250, 10)]
    arguments = ["-n", *PROFILE, "large"]
    pairs = [tuple(projects.run(arguments, folder, slurm) for folder in folders) for _ in range(3)]
    return [
        rows.row(
            f"snakemake -n for Slurm, 10,000 tiny cells, packs of 250: {what}",
            "packs of 10",
            [(ours[place], theirs[place]) for ours, theirs in pairs],
            unit=unit,
            less_is_better=True,
        )
        for place, what, unit in ((0, "time", "s"), (1, "peak memory", "MiB"))
    ]


def _study(cells: int, pack_size: int) -> str:
    return STUDY.format(last_seed=cells // WIDTHS_AND_RATES - 1, pack_size=pack_size)


def _run(folder: Path, slurm: Mapping[str, str], cells: int, pack_size: int, packs_per_job: int) -> Run:
    projects.make(folder, _study(cells, pack_size))
    profile = folder / "profiles/slurm/config.yaml"
    profile.write_text(profile.read_text().replace("packs_per_job: 1", f"packs_per_job: {packs_per_job}"))
    before = set(_jobs(slurm))
    seconds, mebibytes = _snakemake(folder, slurm)
    lasted = [time for job, time in _jobs(slurm).items() if job not in before]
    return Run(cells, seconds, mebibytes, len(lasted), sum(lasted), projects.in_loops(folder))


def _snakemake(folder: Path, slurm: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of a run, and the most memory in MiB that its own process was seen to hold."""
    output, most = folder / "output", 0
    with output.open("w") as file:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *PROFILE, "large"],
            cwd=folder,
            env={**slurm, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    most = max(most, psutil.Process(process.pid).memory_info().rss)
                time.sleep(0.5)
        finally:
            process.kill()
    if process.returncode:
        sys.exit(f"snakemake failed:\n{output.read_text()[-3000:]}")
    return time.monotonic() - began, most / 2**20


def _jobs(slurm: Mapping[str, str]) -> dict[str, int]:
    """Seconds that every job of these daemons ran, by its number."""
    command = ["squeue", "--noheader", "--states=all", "--Format=JobID:20,TimeUsed:20"]
    lines = subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for number, used in (line.split() for line in lines):
        parts = [int(part) for part in used.replace("-", ":").split(":")]
        found[number] = sum(part * scale for part, scale in zip(reversed(parts), (1, 60, 3600, 86400), strict=False))
    return found


def _rows(case: str, run: Run) -> list[rows.Row]:
    cores = run.seconds * GPUS
    return [
        rows.row(case, "its training loops alone", [(cores, run.loop_seconds)], unit="core s", less_is_better=True),
        rows.row(
            f"{case}: jobs",
            "one per cell and rule, counted",
            [(run.jobs, 2 * run.cells + 2)],
            unit="jobs",
            less_is_better=True,
        ),
        rows.row(
            f"{case}: seconds of a job",
            "all two cores' seconds, per job",
            [(run.job_seconds / run.jobs, cores / run.jobs)],
            unit="s",
            less_is_better=True,
        ),
    ]
