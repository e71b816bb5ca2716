"""A job that fails over an older output is run again, by real Snakemake; without the workaround it is not."""

import subprocess

import pytest
import warm_python

SNAKEFILE = """\
{install}

rule made:
    output:
        update("made.txt"),
    params:
        config["setting"],
    shell:
        "if [ {{params}} = bad ]; then echo half > {{output}}; exit 1; fi; echo {{params}} > {{output}}"
"""
INSTALL = "from gengap.snakemake_support import failed_jobs\n\nfailed_jobs.install()"


def snakemake(folder, setting, *arguments):
    command = [warm_python.interpreter(), "-m", "snakemake", "--cores", "1", "--rerun-incomplete", "--config"]
    done = subprocess.run(
        [*command, f"setting={setting}", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("installed", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_what_was_restored_after_a_failure_is_made_again(tmp_path, installed):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(install=INSTALL if installed else ""))
    assert snakemake(tmp_path, "good")[0] == 0
    assert snakemake(tmp_path, "bad")[0] == 1
    assert (tmp_path / "made.txt").read_text() == "good\n"
    status, output = snakemake(tmp_path, "bad", "--dry-run")
    assert status == 0, output
    assert ("Nothing to be done" in output) != installed, output
    if not installed:
        return
    assert snakemake(tmp_path, "better")[0] == 0
    assert (tmp_path / "made.txt").read_text() == "better\n"
    assert "Nothing to be done" in snakemake(tmp_path, "better", "--dry-run")[1]
