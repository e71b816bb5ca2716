"""`dvc repro` that is killed at any moment, with all that it started: the next one ends with the same bits."""

import os
import random
import signal
from pathlib import Path

import fault_injection
import pytest
from clones import STUDY, call, changed, edit, planned, variables
from study import contents

pytestmark = pytest.mark.kills
TOPS = ("data", "results", ".gengap", ".snakemake", ".dvc/cache", "dvc.lock", "metrics")
KILLS = int(os.environ.get("KILLED_REPROS", "5"))
SEED = 0


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return fault_injection.build(tmp_path_factory.mktemp("library"))


def run(folder, library, **options):
    watched = fault_injection.environment(library, [folder / top for top in TOPS], **options)
    return fault_injection.command(folder, "dvc", "repro", variables=variables(folder) | watched)


def results(folder):
    found = contents(folder)
    return {
        path: found[path] for path in found if path.startswith(("results/", "data/")) and not path.endswith(".part")
    }


def test_the_next_repro_ends_with_the_same_bits(original, library, tmp_path):
    """One clone after the other is killed at a call of its own; all are compared with one that was not."""
    clones = []
    for number in range(KILLS + 1):
        folder = tmp_path / str(number) / "project"
        folder.parent.mkdir()
        call(tmp_path, "cp", "-a", str(original), str(folder))
        edit(folder, STUDY, "batch_size: 20", "batch_size: 30")
        clones.append(folder)
    quiet, *hurt = clones
    status, output = run(quiet, library, counts=tmp_path / "counts")
    assert status == 0, output
    expected, total = results(quiet), fault_injection.counted(tmp_path / "counts")["change"]
    chance = random.Random(SEED)
    for folder in hurt:
        status, output = run(
            folder, library, fault=f"change:{chance.randint(1, total)}:kill", counts=Path(f"{folder}.counts")
        )
        assert status == -signal.SIGKILL, output
        status, output = run(folder, library)
        assert status == 0, output
        assert changed(folder) == planned(folder) == set()
        assert results(folder) == expected, output
