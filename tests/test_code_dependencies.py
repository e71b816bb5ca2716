"""Which files of the package decide what a job makes."""

import os
import subprocess
from pathlib import Path

import pytest
import warm_python

from gengap.registry import REGISTRY
from gengap.registry.code_dependencies import LAYERS, code_of_evidence, code_of_part, imported

ROOT = Path(__file__).resolve().parents[1]
EVIDENCE = [(kind, name) for kind in ("figure", "table") for name in REGISTRY[kind]]
RUNNERS = {"probe": "gengap.probes", "simulation": "gengap.simulations", "dataset": "gengap.datasets"}
RUNNERS["labels"] = "gengap.labels"
LANCZOS = "src/gengap/engine/hessian/lanczos.py"

LOADED = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    print(*(found.__file__ for name, found in sys.modules.items() if name.startswith("gengap.")), sep=chr(9))
    for name in [name for name in sys.modules if name.split(".")[0] == "gengap"]:
        del sys.modules[name]
"""


def loaded(kind, folder, *modules):
    """The files of a layer that Python itself loads with each module, according to its own record."""
    (folder / "loaded.py").write_text(LOADED)
    command = [warm_python.interpreter(), str(folder / "loaded.py"), *modules]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    for line in done.stdout.splitlines():
        paths = {Path(path).relative_to(ROOT) for path in line.split("\t")}
        yield {str(path) for path in paths if in_layer(path, LAYERS[kind])}


def in_layer(path, layer):
    inside = f"{'.'.join(path.with_suffix('').parts[2:])}."
    return any(inside.startswith(f"{room}.") for room in layer)


def modules(paths):
    return {path for path in paths if path.endswith(".py")}


@pytest.mark.thorough
def test_python_loads_the_same_files_of_evidence(tmp_path):
    found = loaded("figure", tmp_path, *(REGISTRY[kind][name].module for kind, name in EVIDENCE))
    for (kind, name), own in zip(EVIDENCE, found, strict=True):
        assert modules(code_of_part(kind, name)) == own, name


@pytest.mark.parametrize(
    ("kind", "name"),
    [("probe", "sharpness"), ("simulation", "resnet34_gradient"), ("dataset", "cifar10"), ("labels", "teacher")],
)
def test_python_loads_the_same_files_of_a_part_and_its_runner(kind, name, tmp_path):
    (both,) = loaded(kind, tmp_path, REGISTRY[kind][name].module)
    shared = set(imported(LAYERS[kind], RUNNERS[kind]))
    assert modules(code_of_part(kind, name)) == both - shared
    assert not shared & set(code_of_part(kind, name))


def test_what_modules_read_is_there():
    found = code_of_part("figure", "path")
    assert {"src/gengap/evidence/figures/gengap.mplstyle", "src/gengap/quantities.csv"} <= set(found)
    assert all((ROOT / path).is_file() for path in found)


def test_a_figure_does_not_depend_on_another():
    assert "src/gengap/evidence/figures/gradient_norm.py" not in code_of_part("figure", "learning_curves")
    assert "src/gengap/evidence/figures/layer_gradients.py" in code_of_part("figure", "layer_reset")


@pytest.mark.parametrize(
    ("edited", "parts"),
    [
        ("engine/hessian/lanczos.py", {"hessian_extremes", "hessian_spectrum"}),
        ("engine/hessian/layer_jacobians.py", {"hessian_spectrum"}),
        ("engine/numerics/lbfgsb.py", {"sharpness"}),
        ("engine/numerics/singular_values.py", {"near_rank", "norm_bounds", "norms"}),
        ("probes/batches.py", {"landscape", "near_rank", "pre_activations"}),
        ("probes/averages.py", {"landscape", "layer_reset", "near_rank", "sharpness"}),
        ("probes/distance.py", {"distance"}),
        ("datasets/cifar.py", {"cifar10", "cifar100"}),
        ("labels/statistics.py", {"teacher", "distinct_teacher", "trained_teacher"}),
        ("simulations/random_matrix.py", {"random_matrix"}),
        ("probes/results.py", set()),
        ("datasets/preparing.py", set()),
        ("labels/pool.py", set()),
        ("engine/stack.py", set()),
        ("engine/cpu/program.py", set()),
        ("engine/cpu/kernels/evaluation.cpp", set()),
        ("files/storage.py", set()),
        ("training/loop.py", set()),
        ("models/song.py", set()),
        ("evidence/intervals.py", set()),
    ],
)
def test_an_edit_concerns_the_parts_that_use_it(edited, parts):
    assert (ROOT / "src/gengap" / edited).is_file()
    costly = [(kind, name) for kind in RUNNERS for name in REGISTRY[kind]]
    assert {name for kind, name in costly if f"src/gengap/{edited}" in code_of_part(kind, name)} == parts


@pytest.mark.parametrize("kind", ["model", "loss", "init", "optimizer", "schedule"])
def test_code_of_training_counts_by_its_version_alone(kind):
    assert {code_of_part(kind, name) for name in REGISTRY[kind]} == {()}


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
    assert LANCZOS in found
    assert not any("own_part" in path for path in found)
