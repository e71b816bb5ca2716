"""Whole runs of Snakemake in which calls fail or which are killed: the next run ends with the bits of a quiet one."""

import functools
import os
import random
import signal
import sys

import fault_injection
import pytest
from study import contents

SNAKEMAKE = (sys.executable, "-m", "snakemake", "--cores", "1")
OURS, SNAKEMAKES = ("data", "results", ".gengap"), (".snakemake",)
SEED = 0
# What is Snakemake's own; and what a killed job leaves, which `gengap clean` removes.
_ASIDE = (".snakemake/", ".part", "logs/")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return fault_injection.build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def edited(finished_workspace, tmp_path_factory):
    """A project with older results, of which all are to be made again."""
    made = finished_workspace.copy(tmp_path_factory.mktemp("edited") / "project")
    made.edit("config/studies/tiny.yaml", "batch_size: 20", "batch_size: 30")
    return made


@pytest.fixture(scope="module")
def quiet(edited, library, tmp_path_factory):
    """What a quiet run makes, and the calls of each kind that it takes on files below some folders."""

    @functools.cache
    def made(tops):
        top = tmp_path_factory.mktemp("quiet")
        folder = edited.copy(top / "project").folder
        status, output = run(folder, library, tops, counts=top / "counts")
        assert status == 0, output
        return results(folder), fault_injection.counted(top / "counts")

    return made


def run(folder, library, tops, **options):
    """Run Snakemake with faults in files below some folders of the project."""
    variables = fault_injection.environment(library, [folder / top for top in tops], **options)
    return fault_injection.command(folder, *SNAKEMAKE, variables=variables | {"PYTHONPATH": str(folder / "src")})


def results(folder):
    return {
        path: digest
        for path, digest in contents(folder).items()
        if path.startswith(("results/", "data/", ".gengap/store/cells/")) and not any(part in path for part in _ASIDE)
    }


def check_next(folder, library, expected, before):
    """The next run ends with the same bits, and then nothing is left to do."""
    for _ in range(2):
        status, output = run(folder, library, ())
        assert status == 0, f"{before}\n{output}"
    assert "Nothing to be done" in output
    assert results(folder) == expected, before


@pytest.mark.kills
@pytest.mark.parametrize("number", range(int(os.environ.get("KILLED_RUNS", "10"))))
def test_killed_it_ends_with_the_same_bits(edited, library, quiet, tmp_path, number):
    expected, counts = quiet(OURS + SNAKEMAKES)
    at = random.Random(SEED + number).randint(1, counts["change"])
    folder = edited.copy(tmp_path / "project").folder
    status, output = run(folder, library, OURS + SNAKEMAKES, fault=f"change:{at}:kill", counts=tmp_path / "counts")
    assert status == -signal.SIGKILL, output
    check_next(folder, library, expected, output)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(int(os.environ.get("FAULTY_RUNS", "12"))))
def test_a_call_that_fails_is_told_and_the_next_run_ends_with_the_same_bits(edited, library, quiet, tmp_path, number):
    tops = (OURS, SNAKEMAKES)[number % 2]
    expected, counts = quiet(tops)
    chance = random.Random(SEED + number)
    kind = chance.choice([kind for kind in fault_injection.NUMBERS if counts[kind]])
    at, what = chance.randint(1, counts[kind]), chance.choice(fault_injection.NUMBERS[kind])
    folder = edited.copy(tmp_path / "project").folder
    status, output = run(folder, library, tops, fault=f"{kind}:{at}:{what}", counts=tmp_path / "counts")
    assert "this is a bug" not in output
    assert "Logging error" not in output
    if tops == OURS:
        assert "Traceback" not in output, output
    if status == 0:
        assert results(folder) == expected, output
    else:
        assert os.strerror(what) in output or "error: " in output, output
    check_next(folder, library, expected, output)
