"""A project with a study of a test's own, checked as every command checks it."""

import pytest

from gengap.errors import UserError
from gengap.models import __main__ as models_process
from gengap.studies import networks
from gengap.studies.project import load_project

TINY = """\
title: Tiny
base:
  dataset: {name: digits, image_size: 4}
  labels: {train_size: 200, test_size: 100}
  model: {name: mlp, width: 4}
  loss: cross_entropy
  training: {batch_size: 50, epochs: 2, snapshots: [0, 1]}
grid: {optimizer.lr: [0.1], seed: 0..1}
probes: [performance]
figures: [learning_curves]
tables: [final_performance]
"""


@pytest.fixture(autouse=True)
def _asked_in_this_process(tmp_path_factory, monkeypatch):
    """PyTorch is imported here already, and a process of its own would import it again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr(networks, "answer", models_process.answer)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, in which we are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/simulations").mkdir()
    return tmp_path


@pytest.fixture
def loaded(project):
    """Write a study and load the project."""

    def load(text=TINY, name="study"):
        (project / f"config/studies/{name}.yaml").write_text(text)
        return load_project()

    return load


@pytest.fixture
def refused(loaded):
    """The message with which a study is refused: it names the file, in one line for each mistake."""

    def refuse(text, name="study"):
        with pytest.raises(UserError) as caught:
            loaded(text, name)
        message = str(caught.value)
        assert f"config/studies/{name}.yaml" in message
        assert all(line.endswith((".", "...")) for line in message.splitlines()), message
        return message

    return refuse


@pytest.fixture
def edited():
    """The tiny study with other text in place of some of its own."""

    def edit(*changes):
        text = TINY
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return text

    return edit
