"""Which files of the package a figure, a table or a verdict depends on."""

import subprocess
import sys
from pathlib import Path

from gengap.registry import REGISTRY
from gengap.registry.code_dependencies import EVIDENCE, sources

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
