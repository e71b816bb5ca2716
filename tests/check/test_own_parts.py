"""Own parts that cannot be imported are told of at once, and stop the studies that use them and no other."""

import sys

import pytest

from gengap import registry
from gengap.errors import UserError
from gengap.registry import REGISTRY, plugins
from gengap.studies import own_parts
from gengap.studies.project import load_project

HEADER = '"""x"""\n\nPART = {"summary": "s"}\n'
LOSS = """

def n_outputs(n_classes):
    return n_classes


def sample_losses(settings, outputs, labels): ...
"""


@pytest.fixture
def written(project, monkeypatch):
    """Writes files of the project, which has plugins of its own that no other test knows."""
    monkeypatch.setattr(REGISTRY, "_tables", {})
    monkeypatch.setattr(plugins, "_valid", set())
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(**files):
        for name in [name for name in sys.modules if name.partition(".")[0] == plugins.PACKAGE]:
            del sys.modules[name]
        plugins.digest.cache_clear()
        plugins.imports.cache_clear()
        for name, text in files.items():
            path = project / "plugins" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.mark.parametrize(
    ("kind", "room", "old", "new"),
    [
        ("loss", "losses", "loss: cross_entropy", "loss: own"),
        ("probe", "probes", "[performance]", "[performance, own]"),
        ("figure", "evidence__figures", "[learning_curves]", "[learning_curves, own]"),
        ("model", "models", "{name: mlp, width: 4}", "own"),
    ],
)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("X = 1 / 0\n", "line 4: cannot be imported: ZeroDivisionError: division by zero. Correct it, or remove"),
        ("import plugins.not_there\n", "line 4: cannot be imported: ModuleNotFoundError: No module named 'plugins"),
        ("raise SystemExit\n", "line 4: cannot be imported: SystemExit. Correct it"),
        ("def f(:\n", "line 4: is not valid Python: invalid syntax."),
    ],
)
def test_an_own_part_that_cannot_be_imported(written, project, edited, kind, room, old, new, text, words):
    written(**{f"{room}__own": HEADER + text})
    for name, study in (("uses", edited((old, new))), ("other", edited())):
        (project / f"config/studies/{name}.yaml").write_text(study)
    path = f"plugins/{room.replace('__', '/')}/own.py"
    with pytest.raises(UserError) as caught:
        load_project(asked=["uses"])
    assert f"{path}: {words}" in str(caught.value)
    (notice,) = load_project(asked=["other"]).check_machine(["other"])
    assert notice.startswith(f"{path}: {words}")
    load_project(asked=["other"], ask=False)  # as a job


def test_the_file_that_fails_is_named_and_may_be_mended(written, edited, loaded):
    written(losses__own=HEADER + "from plugins.common import thing\n" + LOSS, common="thing = [][3]\n")
    study = edited(("loss: cross_entropy", "loss: own"))
    with pytest.raises(UserError, match=r"study\.yaml: the loss 'own' cannot be used\. plugins/common\.py: line 1: "):
        loaded(study)
    written(common="thing = 3\n")
    assert loaded(study).notices == []


def test_a_part_that_ends_the_process_or_prints_is_told_apart(written, edited, loaded):
    written(
        losses__quits="import os\n" + HEADER + "os._exit(0)\n",
        losses__prints=HEADER + "print('{}')\n" + LOSS,
    )
    (notice,) = loaded(edited(("loss: cross_entropy", "loss: prints"))).notices
    assert notice == "plugins/losses/quits.py: ends the process that imports it (status 0). Correct it."


def test_a_part_without_a_package_is_a_warning(written, edited, loaded):
    written(probes__own=HEADER + "import not_here\n\n\ndef measure(context): ...\n")
    project = loaded(edited(("[performance]", "[performance, own]")))
    assert project.notices == ["the probe 'own' needs the package 'not_here'. Install it, or run `make env`."]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        ("return settings.widht", "'own' cannot be built for 1 x 4 x 4 images: AttributeError: "),
        ("return {}[3]", "KeyError: 3."),
        ("assert n_outputs == 3", "AssertionError."),
    ],
)
def test_a_network_may_fail_in_any_way(written, edited, refused, build, words):
    written(models__own=f"{HEADER}\n\ndef build(settings, image_shape, n_outputs):\n    {build}\n")
    said = refused(edited(("{name: mlp, width: 4}", "own")))
    assert words in said
    assert "make env" not in said


def test_a_loss_that_gives_no_outputs_is_not_taken_for_a_network(written, edited, refused):
    written(losses__own=HEADER + LOSS.replace("n_classes)", "settings, n_classes)", 1))
    said = refused(edited(("loss: cross_entropy", "loss: own")))
    assert "seed=0: loss: 'own' gives no number of outputs: n_outputs() missing 1 required positional" in said


def test_the_files_of_a_studys_own_parts_are_those_that_they_import(written, edited, loaded):
    written(losses__own=HEADER + "from plugins.common import thing\n" + LOSS, common="thing = 3\n", unused="")
    study = loaded(edited(("loss: cross_entropy", "loss: own"))).studies["study"]
    assert list(own_parts.files(study)) == ["plugins/common.py", "plugins/losses/own.py"]
    assert own_parts.files(loaded(edited()).studies["study"]) == {}


def test_ours_are_not_imported_for_it(project, edited, loaded, monkeypatch):
    monkeypatch.setattr(registry, "load", None)
    assert loaded(edited()).notices == []
