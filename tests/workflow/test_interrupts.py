"""A run that is interrupted while it trains: the next call goes on, without a lock to remove by hand."""

import contextlib
import os
import signal
import sys

import psutil
import pytest
from interrupted import ended, prepare, training
from stored import arrays

pytestmark = pytest.mark.long
STUDY = "config/studies/tiny.yaml"
PACK = "results/tiny/packs/width=3_pack=0"
TRAINED = (f"{PACK}/weights.h5", f"{PACK}/history.h5")


@pytest.fixture
def long(workspace):
    """A copy with one network, which is to be trained again and can be held while it trains."""
    prepare(workspace.folder, STUDY)
    workspace.edit(STUDY, "  - {model.width: [2], optimizer.lr: [0.1], seed: [0]}\n", "")
    return workspace


def start(workspace):
    """Start Snakemake; inside the block it trains and is held."""
    environment = os.environ | {"PYTHONPATH": str(workspace / "src")}
    return training(workspace.folder, [sys.executable, "-m", "snakemake", "--cores", "1", *TRAINED], environment)


def locks(workspace):
    return list((workspace / ".snakemake/locks").glob("*.lock"))


def halves(workspace):
    """Files that were being written."""
    return list((workspace / "results").rglob("*.part"))


def finished(workspace):
    """Run to the end; return what Snakemake said."""
    status, output = workspace.run(*TRAINED)
    assert status == 0, output
    assert workspace.planned(*TRAINED) == set()
    return output


@pytest.mark.thorough
def test_interrupted_it_saves_and_the_next_call_goes_on_to_the_same_numbers(long, tmp_path):
    quiet = long.copy(tmp_path / "quiet")
    finished(quiet)
    with start(long) as process:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    ended(long.folder, process)
    assert list((long / ".gengap/store/unfinished").glob("*.h5"))
    assert locks(long) == halves(long) == []
    output = finished(long)
    assert "going on from epoch 1, step 0" in output, output
    for path in TRAINED:
        assert arrays(long / path) == arrays(quiet / path)


@pytest.mark.thorough
def test_a_job_that_fails_over_older_networks_is_run_again(long):
    with start(long) as process:
        assert jobs(process)
        for job in jobs(process):
            job.terminate()  # Snakemake itself learns of a failure, and of no interrupt
    assert ended(long.folder, process) != 0
    output = finished(long)
    assert "going on from epoch 1, step 0" in output, output


def jobs(process):
    """The processes that run a rule's script."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(".snakemake/scripts" in word for word in child.cmdline()):
                found.append(child)
    return found


@pytest.mark.thorough
def test_killed_it_leaves_a_lock_that_the_next_call_removes(long):
    before = (long / TRAINED[0]).read_bytes()
    with start(long) as process:
        os.killpg(process.pid, signal.SIGKILL)
        ended(long.folder, process)
    assert locks(long)
    assert (long / TRAINED[0]).read_bytes() == before
    output = finished(long)
    assert "Removed the lock of a run that was killed" in output
    assert "1 of 1 cells are to be trained" in output
    assert locks(long) == []


@pytest.mark.thorough
def test_a_living_run_keeps_its_lock_and_so_does_the_job_of_a_killed_one(long):
    with start(long) as process:
        status, output = long.run(*TRAINED)
        assert status != 0
        assert "another run makes the same files" in output
        os.kill(process.pid, signal.SIGKILL)  # Snakemake alone: its job is held, and lives
        process.wait()
        status, output = long.run(*TRAINED)
        assert status != 0
        assert "another run makes the same files" in output
        os.killpg(process.pid, signal.SIGKILL)
        ended(long.folder, process)
    assert "Removed the lock" in finished(long)
