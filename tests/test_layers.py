"""A module imports only from lower layers, or from its own package."""

import ast
import functools
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gengap
from gengap.registry import REGISTRY

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src/gengap"
LAYERS = [
    # facts
    {"counting", "errors", "escaping", "versions", "layout"},
    {"installation", "registry", "seeding"},
    {"quantities", "provenance", "logs"},
    {"progress"},
    {"snakemake_support"},
    {"files"},
    # plan
    {"studies"},
    # parts
    {"datasets", "models", "inits", "losses"},
    {"labels", "engine"},
    # science
    {"training", "probes", "simulations"},
    # evidence
    {"scoreboard"},
    {"evidence"},
    # doors
    {"results", "reference_docs", "cost"},
    {"cli"},
    {"__init__"},
]
ROOMS = {  # of a package: its rooms, lowest first; `root` is the modules outside of all
    "engine": [{"layers", "numerics"}, {"root"}, {"graph", "hessian"}, {"cpu"}, {"cuda"}, {"fused"}, {"evaluation"}],
    "training": [{"optimizers", "schedules"}, {"root"}],
    "evidence": [{"root"}, {"figures", "tables"}, {"whole"}],
}
LAYER = {part: number for number, parts in enumerate(LAYERS) for part in parts}
PLAN = LAYER["studies"]
NO_TORCH = {part for part, number in LAYER.items() if number <= PLAN} | {"scoreboard", "evidence"}
MODULES = sorted(SOURCE.rglob("*.py"))


@functools.cache
def imports(path):
    """Every module that a file names in an import, at any depth of its code; `from a import b` names a and a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write imports with the package's name"
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def part_of(path):
    """The module or package of the top level that a file belongs to; a command is glue, wherever it is."""
    if path.name == "__main__.py":
        return "cli"
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path):
    own = part_of(path)
    parts = {name.split(".")[1] for name in imports(path) if name.startswith("gengap.")} & set(LAYER)
    assert own in LAYER, f"give '{own}' a layer"
    assert {part for part in parts if part != own and LAYER[part] >= LAYER[own]} == set()
    assert own not in NO_TORCH or not any(name.split(".")[0] in ("torch", "torchvision") for name in imports(path))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_snakemake_is_imported_behind_one_wall_only(path):
    if part_of(path) == "snakemake_support":
        parts = {name.split(".")[1] for name in imports(path) if name.startswith("gengap.")}
        assert parts <= {"snakemake_support", "progress", "logs", "counting", "errors", "layout"}
    else:
        assert not any(name.split(".")[0].startswith("snakemake") for name in imports(path))


def room_of(package, name):
    """The room of a package that a module or a name in it belongs to; `root` if it is no room's."""
    part = name.split(".")[2] if name.count(".") > 1 else ""
    return part if (SOURCE / package / part).is_dir() and part else "root"


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_of_a_package_import_downwards(package):
    """A room may import only from lower rooms or from itself, whatever is imported lazily."""
    level = {room: number for number, rooms in enumerate(ROOMS[package]) for room in rooms}
    folders = {path.parent.name for path in (SOURCE / package).glob("*/__init__.py")}
    assert folders | {"root"} == set(level), "draw every room"
    upwards = []
    for path in (SOURCE / package).rglob("*.py"):
        module = ".".join(["gengap", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
        own = room_of(package, module)
        names = [name for name in imports(path) if name.startswith(f"gengap.{package}.")]
        upwards += [
            (module, name)
            for name in names
            if room_of(package, name) != own and level[room_of(package, name)] >= level[own]
        ]
    assert upwards == []


def test_layers_and_rooms_are_drawn_as_tested():
    section = (REPOSITORY / "docs/design.md").read_text().split("## Layers")[1].split("\n## ")[0]
    layers, rooms = re.findall(r"\| --- \| --- \|\n((?:\|.*\n)+)", section)
    drawn = [set(re.findall(r"`(\w+)`", row)) - {"__main__"} for row in layers.splitlines()]
    assert drawn == LAYERS[:-1]
    packages = {}
    for row in rooms.splitlines():
        package, *groups = (re.findall(r"`(\w+)`", group) for group in re.split(r"(?<=`) \| |<", row))
        packages[package[0]] = [set(group) for group in groups]
    assert packages == ROOMS


def test_nothing_imports_the_workflow():
    scripts = {path.stem for path in (REPOSITORY / "workflow/scripts").glob("*.py")}
    for path in [*MODULES, *(REPOSITORY / "tests").rglob("*.py")]:
        assert not {name for name in imports(path) if name.split(".")[0] in scripts | {"workflow"}}, path


def test_planning_a_study_leaves_torch_and_pandas_out():
    """The Snakefile is parsed for every job on a cluster, and these would cost seconds each time."""
    snakefile = (REPOSITORY / "Snakefile").read_text()
    named = re.findall(r"^from gengap(?:\.(\w+))?[\w.]* import (\(|.*)", snakefile, re.MULTILINE)
    assert len(named) > 5
    parts = {part for room, names in named for part in ([room] if room else names.split(", "))}
    assert {part for part in parts if LAYER[part] > PLAN} == set()
    modules = "gengap.studies.study, gengap.studies.packing, gengap.logs"
    code = f"import sys, {modules}; print({{'torch', 'pandas'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_evidence_leaves_torch_out():
    modules = sorted(entry.module for kind in ("figure", "table") for entry in REGISTRY[kind].values())
    code = f"import sys, gengap.evidence.verdicts, {', '.join(modules)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(gengap.__path__, "gengap."):
        importlib.import_module(module.name)
