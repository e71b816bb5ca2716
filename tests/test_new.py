"""`gengap new` in a copy of the project: every skeleton runs as it is, and so do the tests of all parts of its kind."""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import warm_python

from gengap.cli import main
from gengap.cli.new import KINDS, new

pytestmark = pytest.mark.long
REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = (
    "src",
    "tests",
    "config",
    "docs/probes",
    "Snakefile",
    "rules",
    "workflow",
    "pyproject.toml",
    "data/sources.csv",
)
# Tests that hold for every part of a kind; those of the new ones have their name in their parameters.
SHARED = ("models/test_registered.py", "evidence/figures/test_draw.py", "test_registry.py")
DOCUMENTED = (
    "test_reference_page.py",
    "test_probe_pages.py::test_the_page_is_up_to_date",
    "test_probe_pages.py::test_a_probe_measures_what_its_page_says[made_probe]",
    "test_probe_pictures.py::test_no_picture_is_of_a_probe_that_is_gone",
    "test_probe_pictures.py::test_every_probe_has_a_picture_of_what_it_measures[made_probe]",
)
SMALLER = """\
reduced:
  base:
    dataset: {name: gaussian, image_size: 8, n_train: 800, n_test: 400}
    labels: {name: teacher, train_size: 100, test_size: 50, minority_share: 0.2}
    training: {epochs: 1, snapshots: [0, 1]}
  grid: {model.width: [4], seed: 0..1}
  probes: [made_probe]
  figures: []
  tables: []
"""


class Copy:
    """A copy of the project with one new part of every kind, and a study."""

    def __init__(self, folder):
        self.folder = folder
        for name in COPIED:
            source, target = REPOSITORY / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        self.files = {}
        with contextlib.chdir(folder):
            for kind in KINDS:
                self.files[kind] = [str(path) for path in new(kind, f"made_{kind}")]

    def run(self, module, *arguments):
        command = [warm_python.interpreter(), "-m", module, *arguments]
        environment = os.environ | {"PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def passed(copy):
    """The tests that passed: those that came with the new parts, and those of all parts."""
    own = [files[1] for files in copy.files.values()]
    shared = [f"tests/{name}" for name in SHARED]
    done = copy.run("pytest", "-q", "-rA", "-p", "no:cacheprovider", "-k", "made_", *own, *shared)
    assert done.returncode == 0, done.stdout
    return re.findall(r"^PASSED (\S+)", done.stdout, re.MULTILINE)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS)
def test_its_own_test_passes(kind, copy, passed):
    part, test = copy.files[kind]
    assert (copy.folder / part).is_file()
    assert [name for name in passed if name.startswith(f"{test}::")]


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "test"), [("model", SHARED[0]), ("figure", SHARED[1]), ("schedule", SHARED[2])])
def test_the_tests_of_its_kind_include_it(kind, test, passed):
    assert [name for name in passed if name.startswith(f"tests/{test}::") and f"made_{kind}" in name]


@pytest.mark.thorough
def test_its_code_is_clean(copy):
    written = [path for files in copy.files.values() for path in files if path.endswith(".py")]
    for check in (["check"], ["format", "--check"]):
        done = copy.run("ruff", *check, "--no-cache", *written)
        assert done.returncode == 0, done.stdout


@pytest.mark.thorough
def test_a_new_probe_is_documented_by_one_command(copy):
    """Its picture is measured for it; here of a smaller study than that of all probes, to save time."""
    study = copy.folder / "config/studies/every_probe.yaml"
    full, _ = study.read_text().split("reduced:\n")
    assert "\nprobes: all\n" in full
    study.write_text(full + SMALLER)
    before = {path: path.read_bytes() for path in (copy.folder / "docs/probes").glob("*.png")}
    done = copy.run("gengap.reference_docs", "--reduced")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.read_bytes() for path in before} == before
    done = copy.run("pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{name}" for name in DOCUMENTED))
    assert done.returncode == 0, done.stdout
    assert "made_probe" in (copy.folder / "docs/probes.md").read_text()


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("probe", "Dead-Units", "'Dead-Units' cannot be the name of a probe. Use small letters"),
        ("probe", "class", "'class' cannot be the name of a probe"),
        ("probe", "../evil", "cannot be the name"),
        ("model", "vgg", "the model 'vgg' exists, in "),
        ("study", "taken", "config/studies/taken.yaml: exists already. Choose another name"),
    ],
)
def test_a_bad_name_is_refused_in_one_sentence(kind, name, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/studies/taken.yaml").write_text("title: Taken\n")
    assert main.main(["new", kind, name]) == 1
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["taken.yaml"]


def test_outside_a_checkout_it_is_a_plugin(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["new", "model", "made_model"]) == 0
    written = {"plugins/models/made_model.py", "plugins/tests/test_made_model_model.py"}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py")} == written
    assert "from plugins.models.made_model import build" in (tmp_path / max(written)).read_text()
