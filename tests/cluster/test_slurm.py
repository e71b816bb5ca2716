"""Studies on real Slurm daemons through profiles/slurm: what goes wrong on clusters costs time, and changes no bit."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import daemons
import interrupted
import psutil
import pytest
from stored import arrays

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(daemons.missing()), reason=daemons.missing() or "installed")]

GPUS = 2
WAIT_SECONDS = 600.0
# Ask Slurm often: this is one machine and no login node.
PROFILE = ("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1", "--local-cores", "1")
REPOSITORY = Path(__file__).resolve().parents[2]
STUDY = """\
title: Disturbed
base:
  dataset: {name: gaussian, image_size: 8, n_train: 2000, n_test: 500}
  labels: {name: teacher, train_size: 1000, test_size: 200, minority_share: 0.2}
  schedule: own.held
  training: {batch_size: 10, epochs: 8, snapshots: [0, 1]}
grid: {model.width: [2, 3, 4, 5], seed: [0]}
"""
MANY = """\
title: Many
base:
  dataset: {name: gaussian, image_size: 8, n_train: 2000, n_test: 500}
  labels: {name: teacher, train_size: 1000, test_size: 200, minority_share: 0.2}
  schedule: own.held
  training: {batch_size: 10, epochs: 1, snapshots: [0, 1]}
grid: {model.width: [2], seed: 0..5}
probes: [performance]
pack_size: 2
"""
MEASURED = [f"results/many/packs/width=2_pack={pack}/probes/performance.h5" for pack in range(3)]


@pytest.fixture(scope="module")
def slurm():
    """Environment variables of a Slurm that runs while these tests do."""
    folder = Path("/tmp") / f"gengap-slurm-{os.getpid()}"  # short: a socket lies in it
    with daemons.running(folder, gpus=GPUS) as environment:
        yield environment
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, make_workspace):
    """The study with its data; a test runs the networks that it compares with, by Snakemake alone."""
    workspace = make_workspace(tmp_path_factory.mktemp("local"), "disturbed", STUDY)
    interrupted.add_schedule(workspace.folder)
    status, output = workspace.run("data", "--cores", "1")
    assert status == 0, output
    return workspace


@pytest.fixture
def workspace(undisturbed, tmp_path):
    return without_networks(undisturbed, tmp_path / "copy")


@pytest.fixture(scope="module")
def together(tmp_path_factory, make_workspace):
    """A study of three tiny packs, run by Snakemake alone."""
    workspace = make_workspace(tmp_path_factory.mktemp("together"), "many", MANY)
    interrupted.add_schedule(workspace.folder)
    status, output = workspace.run(*MEASURED, "--cores", "2")
    assert status == 0, output
    return workspace


def without_networks(workspace, to):
    """A copy with the data and none of the networks."""
    copy = workspace.copy(to)
    for name in ("results", ".gengap"):
        shutil.rmtree(copy / name, ignore_errors=True)
    return copy


def same_as_local(workspace, undisturbed, width):
    """Whether a pack's weights have the bits that Snakemake alone gives them."""
    status, output = undisturbed.run(weights(width), "--cores", "1")
    assert status == 0, output
    return arrays(workspace / weights(width)) == arrays(undisturbed / weights(width))


def weights(width):
    return f"results/disturbed/packs/width={width}_pack=0/weights.h5"


@contextlib.contextmanager
def submitted(workspace, slurm, *arguments):
    """Snakemake at work in the background; its output is checked for success and given at the end."""
    output = workspace / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *PROFILE, *arguments],
            cwd=workspace.folder,
            env=slurm | {"PYTHONPATH": str(workspace / "src"), "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
        assert process.wait(WAIT_SECONDS) == 0, output.read_text()
    finally:
        process.kill()
        for left in processes(workspace):  # a node that goes down may leave some
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()


def until(found, what):
    """Wait for something that becomes true, and return it."""
    end = time.monotonic() + WAIT_SECONDS
    while not (result := found()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.2)
    return result


def ask(slurm, *command):
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def jobs(slurm, width):
    """Number and state of all jobs that trained the pack, oldest first."""
    return [job[:2] for job in queue(slurm) if f"width={width}_pack=0" in job[3]]


def queue(slurm, *which):
    """Number, state, name and comment of all jobs, oldest first."""
    form = "--format=%i %T %j %k"
    return [job.split() for job in ask(slurm, "squeue", "--noheader", "--states=all", "--sort=i", form, *which)]


def gpu_jobs(slurm):
    """Those that trained or measured, unless a call gave them other resources."""
    return queue(slurm, "--partition=gpu")


def states(slurm, width):
    return [state for _, state in jobs(slurm, width)]


def processes(workspace):
    """Those that run in this workspace."""
    yield from (process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(workspace.folder))


def trainers(workspace):
    """Processes that train in this workspace: Snakemake runs a rule's script in a process of its own.

    What such a process starts has its command line until it has become the other program, and is not counted.
    """
    found = {}
    for process in processes(workspace):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(".snakemake/scripts" in word for word in process.cmdline()):
                found[process.pid] = (process, process.ppid())
    yield from (process for process, parent in found.values() if parent not in found)


@contextlib.contextmanager
def held(processes):
    """The one process, which stands still until the end of the block."""
    (process,) = processes
    process.suspend()
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def told(process, number):
    """Whether a process that stood still has a signal to act on, or acts on it: Slurm wakes what it signals."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    except (FileNotFoundError, ProcessLookupError):
        return True
    return not status["State"].strip().startswith("T") or bool(int(status["ShdPnd"], 16) >> (number - 1) & 1)


def test_quickstart_gives_the_bits_of_a_local_run_and_never_more_gpu_jobs_than_gpus(slurm, tmp_path, make_workspace):
    text = (REPOSITORY / "config/studies/quickstart.yaml").read_text()
    here = make_workspace(tmp_path / "here", "quickstart", text)
    there = make_workspace(tmp_path / "there", "quickstart", text)
    status, output = here.run("quickstart-reduced", "--cores", "2")
    assert status == 0, output
    running, done = [], threading.Event()

    def watch():
        while not done.wait(0.3):
            running.append(len(ask(slurm, "squeue", "--noheader", "--partition=gpu", "--states=RUNNING")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with submitted(there, slurm, "quickstart-reduced"):
            pass
    finally:
        done.set()
        watcher.join()
    assert max(running) == GPUS
    files = sorted(path.relative_to(here.folder) for path in (here / "results").rglob("*.h5"))
    assert files == sorted(path.relative_to(there.folder) for path in (there / "results").rglob("*.h5"))
    assert len(files) == 11  # two packs with weights, history and three probes each, and all measurements
    for path in files:
        assert arrays(here / str(path)) == arrays(there / str(path)), path
    assert there.planned("quickstart-reduced") == set()
    assert {name.partition("_")[0] for _, _, name, _ in gpu_jobs(slurm)} == {"quickstart"}


def test_a_killed_job_is_run_again(slurm, workspace, undisturbed):
    os.mkfifo(workspace / "hold")
    with submitted(workspace, slurm, weights(2)) as snakemake, interrupted.held(workspace.folder, snakemake):
        for process in list(trainers(workspace)):
            process.kill()
    assert states(slurm, 2) == ["FAILED", "COMPLETED"]
    assert same_as_local(workspace, undisturbed, 2)


def test_more_memory_is_asked_for_after_too_little(slurm, workspace, undisturbed):
    with submitted(workspace, slurm, weights(3), "--set-resources", "train:mem_mb=200 * 6 ** (attempt - 1)"):
        pass
    assert states(slurm, 3) == ["FAILED", "COMPLETED"]
    assert same_as_local(workspace, undisturbed, 3)


def test_a_node_goes_down_and_returns(slurm, workspace, undisturbed):
    def node(*update):
        ask(slurm, "scontrol", "update", f"nodename={daemons.node()}", *update)

    os.mkfifo(workspace / "hold")
    with submitted(workspace, slurm, weights(4)) as snakemake:
        with interrupted.held(workspace.folder, snakemake):
            node("state=down", "reason=test")
            until(lambda: states(slurm, 4)[-1] != "RUNNING", "the end of the job")
        node("state=resume")
    assert states(slurm, 4)[-1] == "COMPLETED"
    assert same_as_local(workspace, undisturbed, 4)


def test_a_job_whose_time_is_up_goes_on_where_it_was(slurm, workspace, undisturbed):
    log = workspace / "results/disturbed/logs/train/width=5_pack=0.log"
    os.mkfifo(workspace / "hold")
    with submitted(workspace, slurm, weights(5)) as snakemake:
        with interrupted.held(workspace.folder, snakemake):
            # Now the profile's signal, which comes minutes before the end, is due.
            ((number, _),) = jobs(slurm, 5)
            with held(trainers(workspace)) as trainer:  # stopped, so that a signal can be seen to wait for it
                ask(slurm, "scontrol", "update", f"jobid={number}", "timelimit=3")
                until(lambda: told(trainer, signal.SIGTERM), "the signal")
        until(lambda: len(states(slurm, 5)) == 2, "a second job")
        assert "stopped by SIGTERM" in log.read_text()
    assert "going on from epoch" in log.read_text()
    assert states(slurm, 5) == ["FAILED", "COMPLETED"]
    assert same_as_local(workspace, undisturbed, 5)


def test_packs_of_one_job_take_turns_and_are_run_again_together(slurm, together, tmp_path):
    workspace, before = without_networks(together, tmp_path / "copy"), len(gpu_jobs(slurm))
    workspace.edit("profiles/slurm/config.yaml", "packs_per_job: 1", "packs_per_job: 2")
    os.mkfifo(workspace / "hold")
    with submitted(workspace, slurm, *MEASURED) as snakemake:
        with interrupted.held(workspace.folder, snakemake):
            (first, *_) = trainers(workspace)
            first.kill()
        most = 1
        while len(list((workspace / "results").rglob("performance.h5"))) < len(MEASURED):
            most = max(most, len(list(trainers(workspace))))
            time.sleep(0.2)
    states = [state for _, state, _, _ in gpu_jobs(slurm)[before:]]
    assert sorted(states) == ["COMPLETED", "COMPLETED", "FAILED"]
    assert most <= GPUS  # one per job, and the first job has two packs
    assert same_measurements(workspace, together)


def test_packs_of_a_job_array(slurm, together, tmp_path):
    workspace, before = without_networks(together, tmp_path / "copy"), len(gpu_jobs(slurm))
    with submitted(workspace, slurm, "--slurm-array-jobs", "train,probe", *MEASURED):
        pass
    found = gpu_jobs(slurm)[before:]
    assert {state for _, state, _, _ in found} == {"COMPLETED"}
    assert len(found) == 6
    trained = [number for number, _, _, comment in found if "rule_train" in comment]
    (array,) = {number.partition("_")[0] for number in trained}
    # What measures goes out as its pack is done, so that how many go together is a matter of time.
    assert sorted(trained) == [f"{array}_{task}" for task in (1, 2, 3)]
    assert same_measurements(workspace, together)


def same_measurements(workspace, other):
    weights = [path.replace("probes/performance", "weights") for path in MEASURED]
    return all(arrays(workspace / path) == arrays(other / path) for path in [*MEASURED, *weights])
