"""Scripts run with an interpreter whose path has spaces, by real Snakemake; without the workaround they do not."""

import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from gengap.snakemake_support import python_path

SNAKEFILE = """\
{install}

rule made:
    output:
        "made.txt",
    script:
        "made.py"
"""
INSTALL = "from gengap.snakemake_support import python_path\n\npython_path.install()"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter in a folder with a space in its name, with all that this one can import."""
    folder = tmp_path_factory.mktemp("with space") / "the environment"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "rest.pth").write_text("\n".join(path for path in sys.path if Path(path).is_dir()))
    return folder / "bin/python"


@pytest.mark.parametrize("installed", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_a_script_runs(tmp_path, python, installed):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(install=INSTALL if installed else ""))
    (tmp_path / "made.py").write_text("open(snakemake.output[0], 'w').close()\n")
    done = subprocess.run([python, "-m", "snakemake", "--cores", "1"], cwd=tmp_path, env=os.environ, check=False)
    assert (done.returncode == 0) == (tmp_path / "made.txt").exists() == installed


@pytest.mark.parametrize("path", ["/usr/bin/python3", "/a b/python", "/it's/python"])
def test_twice_is_as_good_as_once(monkeypatch, path):
    monkeypatch.setattr(sys, "executable", path)
    for _ in range(2):
        python_path.install()
        assert shlex.split(sys.executable) == [path]
