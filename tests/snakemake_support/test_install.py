"""A Snakemake that was not tested is refused in one sentence; the bounds are the same everywhere."""

import re
import tomllib
from pathlib import Path

import pytest
import snakemake

from gengap import snakemake_support
from gengap.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("version", ["9.14.0", "9.14.8", "9.16.3", "9.27.1", "9.27.1+local", snakemake.__version__])
def test_a_tested_version_is_taken(version):
    snakemake_support.check(version)


@pytest.mark.parametrize("version", ["8.30.0", "9.13.7", "9.28.0", "9.28.0a1", "10.0.0", "unknown"])
def test_another_version_is_refused_with_what_to_do(version):
    with pytest.raises(UserError) as refused:
        snakemake_support.check(version)
    message = str(refused.value)
    assert message.startswith(f"Snakemake {version} was found, ")
    assert f'pip install "snakemake>={snakemake_support.OLDEST},<{snakemake_support.UNTESTED}"' in message


def test_all_places_have_the_same_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"snakemake>={snakemake_support.OLDEST},<{snakemake_support.UNTESTED}" in project["dependencies"]
    tested = re.search(r"^test-versions:.*?\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)[0]
    assert f" snakemake=={snakemake_support.OLDEST} " in tested
    assert f'"snakemake<{snakemake_support.UNTESTED}"' in tested
    for library in ("torch", "torchvision"):
        assert f"{library}>={re.search(rf' {library}==([0-9]+[.][0-9]+)[.]0', tested)[1]}" in project["dependencies"]
    assert re.findall(r'^min_version\("(.*)"\)$', (ROOT / "Snakefile").read_text(), re.MULTILINE) == [
        snakemake_support.OLDEST
    ]


def test_a_snakemake_of_another_form_is_refused(monkeypatch):
    from snakemake.jobs import Job

    async def postprocess(self, failed):
        """As a release might call the argument."""

    monkeypatch.setattr(Job, "postprocess", postprocess)
    with pytest.raises(UserError, match=r"a Job.postprocess without the argument 'error', which gengap relies on\. "):
        snakemake_support.install(None)


def test_the_workflow_ends_with_one_message(workspace):
    module = "src/gengap/snakemake_support/__init__.py"
    workspace.edit(module, f'"{snakemake_support.OLDEST}", "{snakemake_support.UNTESTED}"', '"9.14.0", "9.14.1"')
    workspace.edit(module, "<= _numbers(version) <", "<= (9, 99) <")
    status, output = workspace.run("--dry-run")
    assert status == 1
    assert "gengap is tested with versions from 9.14.0 and below 9.14.1: install one of these by: pip" in output
    assert "Traceback" not in output


def test_records_in_a_database_are_refused(workspace):
    status, output = workspace.run("--dry-run", "--persistence-backend", "db")
    if "unrecognized arguments" in output:
        pytest.skip("this Snakemake knows no other backend")
    assert status == 1
    assert "--persistence-backend: gengap reads Snakemake's records" in output
    assert "Traceback" not in output
