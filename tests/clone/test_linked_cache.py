"""DVC links files to its cache, and Snakemake writes in place: the cache stays whole, by real DVC and Snakemake."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

SNAKEFILE = """\
from gengap import snakemake_support
from gengap.snakemake_support import contents, linked_files

contents.install()
linked_files.install()
if workflow.is_main_process:
    snakemake_support.begin()

rule all:
    input:
        "figure.txt",

rule weights:
    output:
        update("packs/weights.txt"),
    params:
        lr=config["lr"],
    shell:
        "echo {params.lr} > {output}.part && mv {output}.part {output}"

rule figure:
    input:
        "packs/weights.txt",
    output:
        update("figure.txt"),
    shell:
        "cat {input} >> {output}"
"""
DVC = """\
stages:
  packs:
    cmd: {snakemake} -- packs/weights.txt
    deps: [config.yaml]
    outs: [packs: {{persist: true}}]
  figure:
    cmd: {snakemake} -- all
    deps: [packs]
    outs: [figure.txt: {{persist: true}}]
  records:
    cmd: {snakemake} --dry-run --quiet all -- all
    deps: [figure.txt]
    outs: [.snakemake/metadata: {{persist: true}}]
"""


@pytest.fixture
def project(tmp_path):
    """Makes a DVC project with a type of links, whose two jobs overwrite; and what runs DVC in it."""

    def make(cache_type):
        (tmp_path / "Snakefile").write_text(SNAKEFILE)
        snakemake = f"{sys.executable} -m snakemake --cores 1 --rerun-incomplete --configfile config.yaml"
        (tmp_path / "dvc.yaml").write_text(DVC.format(snakemake=snakemake))
        (tmp_path / "config.yaml").write_text("lr: 0.1\n")
        dvc("init", "--no-scm", "--quiet")
        dvc("config", "cache.type", cache_type)
        return tmp_path

    def dvc(*words):
        done = subprocess.run(["dvc", *words], cwd=tmp_path, env=variables(), text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    make.dvc = dvc
    return make


def variables():
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}


def damaged(folder):
    """Objects of the cache whose content is not what their name says."""
    objects = [path for path in (folder / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert objects
    return [
        path
        for path in objects
        if hashlib.md5(path.read_bytes()).hexdigest() != (path.parent.name + path.name).removesuffix(".dir")
    ]


pytestmark = pytest.mark.clone


@pytest.mark.parametrize("cache_type", ["symlink", "hardlink", "copy", "reflink,copy"])
def test_the_cache_stays_whole_and_old_states_come_back(project, cache_type):
    folder = project(cache_type)
    project.dvc("repro")
    assert (folder / "packs/weights.txt").is_symlink() == (cache_type == "symlink")
    first = (folder / "dvc.lock").read_text()
    for lr in ("0.2", "0.3"):
        (folder / "config.yaml").write_text(f"lr: {lr}\n")
        project.dvc("repro")
        assert (folder / "packs/weights.txt").read_text() == f"{lr}\n"
        assert damaged(folder) == []
    assert (folder / "figure.txt").read_text() == "0.1\n0.2\n0.3\n"
    assert "up to date" in project.dvc("status")
    (folder / "dvc.lock").write_text(first)
    (folder / "config.yaml").write_text("lr: 0.1\n")
    project.dvc("checkout")
    assert (folder / "figure.txt").read_text() == "0.1\n"
