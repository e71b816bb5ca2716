"""What files hold decides, and never their times: by real Snakemake, with a clock that was wrong both ways."""

import os
import subprocess
import time

import pytest
import warm_python

SNAKEFILE = """\
{install}

rule made:
    input:
        data="data.txt",
        code="code.txt",
    output:
        update("made.txt"),
    shell:
        "cat {{input}} > {{output}}"
"""
INSTALL = "from gengap.snakemake_support import contents\n\ncontents.install()"
HOUR = 3600


@pytest.fixture
def made(tmp_path):
    """Makes a folder whose one file was made; and runs Snakemake in it."""

    def make(*, installed=True):
        (tmp_path / "Snakefile").write_text(SNAKEFILE.format(install=INSTALL if installed else ""))
        (tmp_path / "data.txt").write_text("data\n")
        (tmp_path / "code.txt").write_text("code\n")
        return tmp_path

    def run(*arguments):
        command = [warm_python.interpreter(), "-m", "snakemake", "--cores", "1", "--max-checksum-file-size", "100GB"]
        command += ["--rerun-triggers", "mtime", "input", "--"]
        done = subprocess.run([*command[:-1], *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    make.run = run
    return make


def date(path, hours):
    os.utime(path, (time.time() + hours * HOUR,) * 2)


@pytest.mark.parametrize("installed", [True, False])
def test_an_input_dated_in_the_future_costs_no_output(made, installed):
    folder = made(installed=installed)
    date(folder / "data.txt", 1)
    status, output = made.run()
    assert (status == 0) == installed, output
    assert (folder / "made.txt").exists() == installed
    assert ("clock skew" in output) != installed
    if installed:
        assert "Nothing to be done" in made.run("--dry-run")[1]


@pytest.mark.thorough
@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(("input_hours", "output_hours"), [(0, 24), (-24, 0), (-48, -24)])
def test_an_edit_under_any_clock_is_noticed(made, input_hours, output_hours, installed):
    """The result is dated tomorrow; or the input was put back with its old time; or both are old."""
    folder = made(installed=installed)
    assert made.run()[0] == 0
    (folder / "code.txt").write_text("edited\n")
    date(folder / "code.txt", input_hours)
    date(folder / "made.txt", output_hours)
    assert ("Nothing to be done" in made.run("--dry-run")[1]) != installed
    status, output = made.run()
    assert status == 0, output
    assert (folder / "made.txt").read_text() == ("data\nedited\n" if installed else "data\ncode\n")
    assert "Nothing to be done" in made.run("--dry-run")[1]


def test_times_alone_make_nothing_again(made):
    folder = made()
    assert made.run()[0] == 0
    for hours in (5, -5):
        for name in ("data.txt", "code.txt", "made.txt"):
            date(folder / name, hours)
            assert "Nothing to be done" in made.run("--dry-run")[1]


def test_an_output_that_is_not_what_was_made_is_made_again(made):
    """A flipped bit, whatever its time; the rules that read it would not notice."""
    folder = made()
    assert made.run()[0] == 0
    before = (folder / "made.txt").stat()
    (folder / "made.txt").write_text("dat`\ncode\n")
    os.utime(folder / "made.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    status, output = made.run()
    assert status == 0, output
    assert "made.txt is not what was made, and is made again" in output
    assert (folder / "made.txt").read_text() == "data\ncode\n"
    assert "Nothing to be done" in made.run("--dry-run")[1]
