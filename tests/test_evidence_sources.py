"""Which files of the package a figure, a table, a verdict or a probe depends on."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gengap.registry import REGISTRY
from gengap.registry.code_dependencies import EVIDENCE, probe_sources, sources

ROOT = Path(__file__).resolve().parents[1]
MODULES = [entry.module for kind in ("figure", "table") for entry in REGISTRY[kind].values()]


LOADED = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    print(*(found.__file__ for name, found in sys.modules.items() if name.startswith("gengap.")), sep=chr(9))
    for name in [name for name in sys.modules if name.split(".")[0] == "gengap"]:
        del sys.modules[name]
"""


def test_python_loads_the_same_files_of_evidence():
    """Against Python's own record of what it imported, each module afresh."""
    command = [sys.executable, "-c", LOADED, *MODULES]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for module, line in zip(MODULES, done.stdout.splitlines(), strict=True):
        loaded = {Path(path).relative_to(ROOT) for path in line.split("\t")}
        ours = {str(path) for path in loaded if path.parts[2].removesuffix(".py") in EVIDENCE}
        assert {path for path in sources(module) if path.endswith(".py")} == ours, module


def test_what_modules_read_is_there():
    found = sources("gengap.evidence.figures.path")
    assert "src/gengap/evidence/figures/gengap.mplstyle" in found
    assert "src/gengap/quantities.csv" in found
    assert all((ROOT / path).is_file() for path in found)


def test_a_figure_does_not_depend_on_another():
    assert "src/gengap/evidence/figures/gradient_norm.py" not in sources("gengap.evidence.figures.learning_curves")
    assert "src/gengap/evidence/figures/layer_gradients.py" in sources("gengap.evidence.figures.layer_reset")


@pytest.mark.parametrize(
    ("edited", "probes"),
    [
        ("engine/hessian/lanczos.py", {"hessian_extremes", "hessian_spectrum"}),
        ("engine/hessian/layer_jacobians.py", {"hessian_spectrum"}),
        ("engine/numerics/lbfgsb.py", {"sharpness"}),
        ("engine/numerics/singular_values.py", {"near_rank", "norms"}),
        ("probes/batches.py", {"landscape", "near_rank"}),
        ("probes/distance.py", {"distance"}),
        ("probes/results.py", set()),
        ("engine/stack.py", set()),
        ("engine/cpu/program.py", set()),
        ("training/loop.py", set()),
        ("models/song.py", set()),
        ("evidence/intervals.py", set()),
    ],
)
def test_an_edit_measures_the_probes_that_use_it_again(edited, probes):
    assert (ROOT / "src/gengap" / edited).is_file()
    modules = {name: entry.module for name, entry in REGISTRY["probe"].items()}
    assert {name for name, module in modules.items() if f"src/gengap/{edited}" in probe_sources(module)} == probes


def test_dvc_depends_on_every_file_that_snakemake_depends_on():
    """A stage that trains and measures must be run by DVC wherever Snakemake has a probe to measure again."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    files = {path for entry in REGISTRY["probe"].values() for path in probe_sources(entry.module)}
    for name in ("checkpoints", "checkpoints-reduced"):
        folders = stages[name]["do"]["deps"]
        assert {path for path in files if not any(path.startswith(f"{folder}/") for folder in folders)} == set()
