"""The lock of a killed run is removed; that of a living run, or of its job, is not."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gengap.snakemake_support import run_lock
from gengap.snakemake_support.job import job

LIVING = "import sys; from gengap.snakemake_support import run_lock; from gengap.snakemake_support.job import job\n"
RUN = LIVING + "run_lock.start(); print('up', flush=True); sys.stdin.read()"  # until it is killed
JOB = LIVING + "with job('job.log'): print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the lock that some run of Snakemake wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_text("results/a.h5\n")
    return tmp_path


def locks(project):
    return [path.name for path in (project / ".snakemake/locks").iterdir()]


def begin(code):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
    assert process.stdout.readline() == "up\n"
    return process


def removes():
    """What another process, which ends at once, finds."""
    code = "from gengap.snakemake_support import run_lock; print(run_lock.start())"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "True\n"


@pytest.mark.parametrize("code", [RUN, JOB], ids=["run", "job"])
def test_a_lock_stays_while_its_run_or_a_job_of_it_lives_and_goes_when_it_was_killed(project, code):
    (lock,) = (project / ".snakemake/locks").iterdir()
    text = lock.read_text()
    lock.unlink()
    process = begin(code)
    lock.write_text(text)  # as Snakemake does, some time after the start
    try:
        assert not removes()
        assert locks(project) == ["0.output.lock"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert removes()
    assert locks(project) == []


def test_a_second_run_counts_as_living_too(project):
    first, second = begin(RUN), begin(RUN)
    (project / ".snakemake/locks/1.output.lock").write_text("results/b.h5\n")
    first.kill()
    first.wait()
    assert not removes()
    second.kill()
    second.wait()
    assert removes()


def test_without_a_lock_nothing_is_said(project):
    (project / ".snakemake/locks/0.output.lock").unlink()
    assert not removes()


def test_elsewhere_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with job("job.log"):
        pass
    assert not run_lock.start()
    assert [path.name for path in Path().iterdir()] == ["job.log"]


@pytest.mark.parametrize("code", [RUN, JOB], ids=["run", "job"])
def test_alone_is_who_finds_no_run_and_no_job(project, code):
    with run_lock.alone() as alone:
        assert alone
    process = begin(code)
    with run_lock.alone() as alone:
        assert not alone
    process.kill()
    process.wait()
    with run_lock.alone() as alone:
        assert alone
