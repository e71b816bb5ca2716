"""Jobs of a run begin with the libraries imported, and are otherwise as Snakemake starts them."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm_python

from gengap.snakemake_support import warm_jobs

SNAKEFILE = """\
import os
from gengap.snakemake_support import warm_jobs

warm_jobs.install()
open("group", "w").write(str(os.getpgrp()))

rule all:
    input:
        expand("{name}.txt", name=NAMES),

rule made:
    output:
        "{name}.txt",
    params:
        word="said",
    script:
        "made.py"
"""
SAYS = """\
import os, sys
libraries = [name for name in ("torch", "gengap") if name in sys.modules]
words = [libraries, snakemake.params.word, os.environ["OMP_NUM_THREADS"], os.environ["WORD"], os.getcwd()]
print(*words, sep="|", file=open(snakemake.output[0], "w"))
"""
FAILS = "import sys\nopen('at_work', 'a').write(snakemake.wildcards.name)\nsys.exit(3)\n"
WAITS = """\
import os, time
if snakemake.wildcards.name != "a":
    try:
        open("at_work", "w").write(str(os.getpid()))
        time.sleep(86_400)  # until it is interrupted, however late
    except KeyboardInterrupt:
        open("interrupted", "w").close()
        raise
open(snakemake.output[0], "w").close()
"""


def start(folder, names, script):
    """Start Snakemake on some jobs."""
    (folder / "Snakefile").write_text(f"NAMES = {list(names)}\n{SNAKEFILE}")
    (folder / "made.py").write_text(script)
    return subprocess.Popen(
        [warm_python.interpreter(), "-m", "snakemake", "--cores", "1", "--keep-going"],
        cwd=folder,
        env=os.environ | {"WORD": "a b"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a signal to its group does not reach the tests
    )


@pytest.fixture
def waiting(tmp_path):
    """A run whose second job waits: its process group and that job."""
    process = start(tmp_path, "ab", WAITS)
    while not (tmp_path / "at_work").exists() or not (tmp_path / "at_work").read_text():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    return process, int((tmp_path / "group").read_text()), int((tmp_path / "at_work").read_text())


def test_they_have_libraries_and_what_snakemake_gives_a_script(tmp_path):
    process = start(tmp_path, "abc", SAYS)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "nanobind" not in output  # the libraries' own complaints at their end
    # Which job is first, and has not the libraries, Snakemake's scheduler decides.
    *later, _ = sorted((tmp_path / f"{name}.txt").read_text() for name in "abc")
    assert later == [f"['torch']|said|1|a b|{tmp_path}\n"] * 2


def test_a_job_that_fails_fails_alone(tmp_path):
    process = start(tmp_path, "abc", FAILS)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert sorted((tmp_path / "at_work").read_text()) == ["a", "b", "c"], output
    assert not list(tmp_path.glob("*.txt"))


def test_an_interrupt_reaches_the_job(waiting, tmp_path):
    process, group, job = waiting
    os.killpg(group, signal.SIGINT)  # as Ctrl-C does
    process.communicate()
    assert (tmp_path / "interrupted").exists()
    assert not alive(job)


def test_a_job_ends_with_the_group_of_its_run(waiting, tmp_path):
    process, group, job = waiting
    os.killpg(group, signal.SIGKILL)
    process.communicate()
    while alive(job):
        time.sleep(0.02)
    assert not (tmp_path / "interrupted").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_libraries_are_imported_is_told_apart_from_a_fault(tmp_path, monkeypatch, number):
    (tmp_path / "h5py.py").write_text(f"import os\nos.kill(os.getpid(), {int(number)})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(subprocess.CalledProcessError):
        warm_jobs._caller(1)
    (tmp_path / "h5py.py").write_text("raise ImportError\n")
    assert warm_jobs._caller(1) == shlex.quote(sys.executable)


def test_an_interrupted_run_begins_no_job_once_the_libraries_are_there(tmp_path):
    """Jobs that wait for the libraries are not children of the run yet, so the signal does not reach them."""
    (tmp_path / "Snakefile").write_text(f"NAMES = ['a', 'b']\n{SNAKEFILE}")
    (tmp_path / "made.py").write_text("open(snakemake.output[0], 'w').close()\n")
    (tmp_path / "h5py.py").write_text("import os\nos.killpg(os.getpgrp(), 2)\n")
    process = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--keep-going"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        start_new_session=True,
        capture_output=True,
        text=True,
    )
    assert process.returncode != 0, process.stderr
    assert len(list(tmp_path.glob("*.txt"))) == 1, process.stderr  # of the first job, which waits for nothing


def alive(process):
    """Whether a process is at work; one that ended may wait for its parent."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
