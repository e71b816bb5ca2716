"""Jobs of Slurm that are killed at any moment: Snakemake runs them again, and they end with the same bits."""

import os
import random
import shutil
import sys
from pathlib import Path

import daemons
import fault_injection
import pytest
from study import contents

pytestmark = [
    pytest.mark.kills,
    pytest.mark.skipif(bool(daemons.missing()), reason=daemons.missing() or "installed"),
]
KILLS = int(os.environ.get("KILLED_SLURM_JOBS", "5"))
SEED = 0
SNAKEMAKE = (sys.executable, "-m", "snakemake")
PROFILE = ("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1", "--local-cores", "1")


@pytest.fixture(scope="module")
def slurm():
    """Environment variables of a Slurm that runs while these tests do."""
    folder = Path("/tmp") / f"gengap-slurm-{os.getpid()}"  # short: a socket lies in it
    with daemons.running(folder) as environment:
        yield environment
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return fault_injection.build(tmp_path_factory.mktemp("library"))


def results(folder):
    """What jobs made: Snakemake itself, which is not killed here, writes none of it; `gengap clean` removes halves."""
    found = contents(folder)
    return {path: found[path] for path in found if path.startswith("results/tiny/packs/") and path[-5:] != ".part"}


def test_killed_at_any_moment_they_end_with_the_same_bits(finished_workspace, slurm, library, tmp_path):
    copies = [finished_workspace.copy(tmp_path / str(number) / "project") for number in range(KILLS + 1)]
    for copy in copies:
        copy.edit("config/studies/tiny.yaml", "batch_size: 20", "batch_size: 30")
    quiet, *hurt = copies
    status, output, total = run(quiet, slurm, library, "")
    assert status == 0, output
    chance = random.Random(SEED)
    for copy in hurt:
        status, output, _ = run(copy, slurm, library, f"change:{chance.randint(1, total)}:kill")
        again = fault_injection.command(copy.folder, *SNAKEMAKE, "--cores", "1", variables=variables(copy, slurm))
        assert again[0] == 0, f"{output}\n{again[1]}"
        assert results(copy.folder) == results(quiet.folder), f"{output}\n{again[1]}"


def variables(workspace, slurm):
    return {**os.environ, **slurm, "PYTHONPATH": str(workspace / "src"), "OMP_NUM_THREADS": "1"}


def run(workspace, slurm, library, fault):
    """Run on Slurm with the packs' files watched; returns the status, what was said, and the calls that jobs made."""
    counts = workspace.folder.with_name("counts")
    watched = fault_injection.environment(
        library, [workspace / "results/tiny/packs", workspace / ".gengap"], counts=counts, fault=fault
    )
    names = ("LD_PRELOAD", "FAULT_ROOTS", "FAULT_COUNTS", "FAULT")
    chosen = {name: watched[name] for name in names if name in watched} | {"FAULT_GROUP": "0"}  # not Snakemake's
    status, output = fault_injection.command(
        workspace.folder, *SNAKEMAKE, *PROFILE, variables=variables(workspace, slurm) | chosen
    )
    return status, output, fault_injection.counted(counts)["change"]
