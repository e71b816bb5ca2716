"""What is installed from the built package: everything that the checkout has, and labs that run without it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import closed_port
import pytest
import warm_python
from tiny_study import STUDY

REPOSITORY = Path(__file__).resolve().parents[1]
BUILT_FROM = (
    "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "src",
    "Snakefile", "rules", "workflow", "profiles", "config", "plugins", "dvc.yaml", ".dvc/plots",
)  # fmt: skip
GENGAP = ("-c", "import sys; from gengap.cli.main import main; sys.exit(main())")
BUILD = "from setuptools import build_meta; print(build_meta.{}('dist'))"


def build(what, folder):
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(what)], cwd=folder, capture_output=True, text=True, check=True
    )
    return folder / "dist" / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of Python packages with gengap as its wheel holds it, built from its source distribution."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in BUILT_FROM:
        path, copy = REPOSITORY / name, source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(path, copy)
    (source / "unpacked").mkdir()
    # By tar, since Python 3.11.2 knows no filter, which later versions ask for.
    subprocess.run(["tar", "-xf", build("build_sdist", source), "-C", source / "unpacked"], check=True)
    (unpacked,) = (source / "unpacked").iterdir()
    with zipfile.ZipFile(build("build_wheel", unpacked)) as wheel:
        wheel.extractall(site)
    return site


def python(site, folder, *arguments):
    """Exit status and output of Python with the installed gengap alone."""
    environment = os.environ | {"PYTHONPATH": str(site), "https_proxy": closed_port.ADDRESS}
    done = subprocess.run(
        [warm_python.interpreter(), *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def tracked(*paths):
    listed = subprocess.run(["git", "ls-files", *paths], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def test_the_wheel_has_every_file_of_the_package_and_of_the_workflow(site):
    package = {path for path in tracked("src") if not path.endswith("README.md")}
    assert len(package) > 200
    assert [path for path in sorted(package) if not (site / path.removeprefix("src/")).is_file()] == []
    workflow = tracked("Snakefile", "rules", "workflow", "profiles", "config", "plugins", "dvc.yaml", ".dvc/plots")
    assert [path for path in sorted(workflow) if not (site / "gengap/project" / path).is_file()] == []


@pytest.mark.thorough
def test_an_installed_gengap_makes_a_lab_that_runs_a_study(site, tmp_path):
    status, output = python(site, tmp_path, *GENGAP, "init", "lab")
    assert status == 0, output
    lab = tmp_path / "lab"
    (lab / "config/studies/tiny.yaml").write_text(STUDY.replace("  - {model.width: [3]", "  # {model.width: [3]"))
    config = lab / "config/config.yaml"
    config.write_text(config.read_text().replace("studies: [quickstart]", "studies: [tiny]"))
    status, output = python(site, lab, *GENGAP, "new", "probe", "own_probe")
    assert status == 0, output
    assert '"own_probe"' in (lab / "config/study.schema.json").read_text()  # an editor knows it at once
    written = {path: path.read_bytes() for path in lab.rglob("*") if path.is_file() and ".git" not in path.parts}
    status, output = python(site, lab, "-m", "snakemake", "--cores", "1")
    assert status == 0, output
    assert "Traceback" not in output
    status, output = python(site, lab, *GENGAP, "report", "tiny")
    assert status == 0, output
    assert "data:image/png;base64" in (lab / "results/tiny/report.html").read_text()
    assert [path for path, content in written.items() if path.is_file() and path.read_bytes() != content] == []

    # Another version at another place, with the same code where it counts: nothing is to be done.
    moved = site.rename(tmp_path / "moved")
    try:
        status, output = python(moved, lab, "-m", "snakemake", "--cores", "1", "--dry-run")
        assert status == 0, output
        assert "Nothing to be done" in output
        with (moved / "gengap/evidence/figures/accuracy_by_width.py").open("a") as figure:
            figure.write("# another version\n")
        status, output = python(moved, lab, "-m", "snakemake", "--cores", "1", "--dry-run")
        assert "Drawing accuracy_by_width of tiny" in output
        assert "Training" not in output
    finally:
        moved.rename(site)


def test_init_replaces_nothing(tmp_path, capsys):
    from gengap.cli.main import main

    (tmp_path / "Snakefile").write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    assert f"{tmp_path / 'Snakefile'}: exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["Snakefile"]
