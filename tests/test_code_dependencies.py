"""Which files of the package decide what a job makes."""

import subprocess
import sys
from pathlib import Path

import pytest

from gengap.registry import REGISTRY
from gengap.registry.code_dependencies import LAYERS, code_of_evidence, code_of_part

ROOT = Path(__file__).resolve().parents[1]
EVIDENCE = [(kind, name) for kind in ("figure", "table") for name in REGISTRY[kind]]
# Few of the others: each is a process that loads torch.
PARTS = [("probe", "hessian_extremes"), ("probe", "distance"), ("simulation", "resnet34_gradient")]
PARTS += [("dataset", "cifar10"), ("labels", "teacher")]
LANCZOS = "src/gengap/engine/hessian/lanczos.py"

LOADED = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    print(*(found.__file__ for name, found in sys.modules.items() if name.startswith("gengap.")), sep=chr(9))
    for name in [name for name in sys.modules if name.split(".")[0] == "gengap"]:
        del sys.modules[name]
"""


def loaded(kind, *modules):
    """The files of a layer that Python itself loads with each module, according to its own record."""
    command = [sys.executable, "-c", LOADED, *modules]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        paths = {Path(path).relative_to(ROOT) for path in line.split("\t")}
        yield {str(path) for path in paths if path.parts[2].removesuffix(".py") in LAYERS[kind]}


def modules(paths):
    return {path for path in paths if path.endswith(".py")}


def test_python_loads_the_same_files_of_evidence():
    found = loaded("figure", *(REGISTRY[kind][name].module for kind, name in EVIDENCE))
    for (kind, name), own in zip(EVIDENCE, found, strict=True):
        assert modules(code_of_part(kind, name)) == own, name


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_python_loads_the_same_files_of_a_layer(kind, name):
    (own,) = loaded(kind, REGISTRY[kind][name].module)
    assert modules(code_of_part(kind, name)) == own


def test_what_modules_read_is_there():
    figure, probe = code_of_part("figure", "path"), code_of_part("probe", "performance")
    assert {"src/gengap/evidence/figures/gengap.mplstyle", "src/gengap/quantities.csv"} <= set(figure)
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "src/gengap/engine/cpu/kernels").iterdir()} <= set(probe)
    assert all((ROOT / path).is_file() for path in (*figure, *probe))


def test_a_part_does_not_depend_on_another_that_it_does_not_import():
    assert "src/gengap/evidence/figures/gradient_norm.py" not in code_of_part("figure", "learning_curves")
    assert "src/gengap/evidence/figures/layer_gradients.py" in code_of_part("figure", "layer_reset")
    using = {name for name in REGISTRY["probe"] if LANCZOS in code_of_part("probe", name)}
    assert {"hessian_extremes", "hessian_spectrum"} <= using
    assert not using & {"performance", "distance", "norms", "near_rank", "path"}


@pytest.mark.parametrize("kind", ["model", "loss", "init", "optimizer", "schedule"])
def test_code_of_training_counts_by_its_version_alone(kind):
    assert {code_of_part(kind, name) for name in REGISTRY[kind]} == {()}


def test_what_is_shared_and_changes_no_number_is_left_out():
    paths = {path for kind in LAYERS for name in REGISTRY[kind] for path in code_of_part(kind, name)}
    assert not {path for path in paths if path.split("/")[2] in ("files", "studies", "registry", "logs.py", "cost")}


def test_evidence_without_a_part():
    assert "src/gengap/evidence/derived.py" in code_of_evidence("gengap.evidence.collect")
    assert "src/gengap/evidence/verdicts.py" not in code_of_evidence("gengap.evidence.collect")


def test_a_users_own_part_depends_on_what_it_imports_of_ours(tmp_path, monkeypatch):
    (tmp_path / "own_part").mkdir()
    (tmp_path / "own_part/top.py").write_text(
        'from gengap.engine.hessian import lanczos\n\nPART = {"summary": "Top."}\n'
    )
    monkeypatch.chdir(tmp_path)
    found = code_of_part("probe", "own_part.top")
    REGISTRY["probe"].pop("own_part.top")
    assert {LANCZOS, "src/gengap/probes/__init__.py"} <= set(found)
    assert not any("own_part" in path for path in found)
