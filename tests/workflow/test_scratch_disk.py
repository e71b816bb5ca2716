"""Folders of the project that are links to another disk: every command works as if they were not."""

import shutil
from pathlib import Path

import pytest
from clones import call

FIGURE = "results/tiny/figures/accuracy_by_width.pdf"
SOURCE = str(Path(__file__).resolve().parents[2] / "src")
LINKED = ("results", "data/labelled", "data/prepared", ".gengap/store", ".snakemake", "config", "plugins")


@pytest.fixture
def scattered(workspace, tmp_path):
    """A finished project, parts of which lie on another disk."""
    (workspace / "plugins").mkdir(exist_ok=True)
    for name in LINKED:
        disk = tmp_path / "scratch" / name
        disk.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(workspace / name, disk)
        (workspace / name).symlink_to(disk)
    return workspace


@pytest.mark.thorough
def test_every_command_works(scattered):
    assert scattered.planned() == set()
    real = str((scattered / FIGURE).resolve())
    for named in (FIGURE, str(scattered / FIGURE), real):
        told = call(scattered.folder, "gengap", "explain", named)
        assert told.startswith(FIGURE)
        assert "files have the content that the next one was made from." in told
    told = call(scattered / "results/tiny", "gengap", "explain", "verdicts.csv", PYTHONPATH=SOURCE)
    assert told.startswith("results/tiny/verdicts.csv")
    assert "2 cells" in call(scattered.folder, "gengap", "check")
    assert "0 files damaged" in call(scattered.folder, "gengap", "fsck")
    told = call(scattered.folder, "gengap", "clean")
    assert ".gengap/store is a link to " in told
    assert "other projects may use what lies there" in told
    # A change makes again what it concerns, at the same place.
    scattered.edit("config/studies/tiny.yaml", "figures: [accuracy_by_width]", "figures: [learning_curves]")
    status, output = scattered.run("--cores", "1", "results/tiny/figures/learning_curves.pdf")
    assert status == 0, output
    assert all((scattered / name).is_symlink() for name in LINKED)
    assert Path(real).with_name("learning_curves.pdf").exists()


def test_explaining_elsewhere_says_where_a_project_is_looked_for(tmp_path):
    told = call(tmp_path, "gengap", "explain", "results/tiny/verdicts.csv", status=1, PYTHONPATH=SOURCE)
    assert "lies outside of any project: no folder above it has config/config.yaml" in told
    assert "make pull" not in told
