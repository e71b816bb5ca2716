"""A project whose tiny study was run and pushed, and a clone of it."""

import shutil
from pathlib import Path

import pytest
from clones import STUDY, call, clone, commit, edit, lend_environment

REPOSITORY = Path(__file__).resolve().parents[2]
TOP = (".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore", "dvc.yaml", "Makefile")
MADE_OF = (
    *TOP,
    "requirements.lock",
    "pyproject.toml",
    "plugins/README.md",
)  # what a workspace of tests/conftest.py does not have
PROBES = "probes: [performance, layer_reset, {name: hessian_extremes, epochs: last, samples: 20, draws: 1, points: 10}]"
SIMULATION = """\
title: Small matrices
base: {simulation: random_matrix, columns: 3}
grid: {rows: [6], distribution: [normal], seed: 0..3}
tables: [draws]
"""


@pytest.fixture(scope="session")
def original(finished_workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as its author has it: run, committed, and pushed to the remote of .dvc/config, beside it."""
    folder = finished_workspace.copy(tmp_path_factory.mktemp("author") / "project").folder
    for path in MADE_OF:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (REPOSITORY / path).is_dir() else shutil.copy2
        copy(REPOSITORY / path, folder / path)
    lend_environment(folder)
    (folder / "config/simulations").mkdir(exist_ok=True)
    (folder / "config/simulations/small.yaml").write_text(SIMULATION)
    edit(folder, "config/config.yaml", "simulations: []", "simulations: [small]")
    edit(folder, STUDY, "figures: [accuracy_by_width]", "figures: [accuracy_by_width, learning_curves]")
    edit(folder, STUDY, "probes: [performance]", PROBES)
    call(folder, "git", "init", "--quiet", "--initial-branch=main")
    commit(folder, "A study")
    call(folder, "make", "repro")
    commit(folder, "Its results")
    assert "git push" not in call(folder, "make", "push")
    return folder


@pytest.fixture
def cloned(original, tmp_path) -> Path:
    """What somebody else has after `git clone` and `make pull`: at another depth, the remote named by hand."""
    folder = clone(original, tmp_path / "some" / "where" / "else")
    call(folder, "dvc", "remote", "modify", "--local", "local", "url", str(original.parent / "gengap-remote"))
    call(folder, "make", "pull")
    return folder
