"""Which files of the package decide what a job's result says: read from the imports, inside the layer of the job.

What is cheap to make again lists these files as inputs, and an edit remakes what depends on it and nothing else:
figures, tables and verdicts those of evidence; a probe its own module and the numerical methods that it imports. What
all probes share (how they are run, how a network is evaluated) and all of training depend on `gengap.versions` instead:
an edit there must not measure everything again, and never trains anything again.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
EVIDENCE = ("evidence", "quantities")  # below them are files and settings, which have versions
MEASURING = ("probes", "engine.hessian", "engine.numerics")
# Of the rooms of MEASURING, what runs every probe.
_RUNNER = {"gengap.probes", *(f"gengap.probes.{name}" for name in ("checkpoints", "context", "results"))}
_SUFFIXES = (".csv", ".mplstyle")  # what modules of these packages read


@functools.cache
def sources(*modules: str) -> tuple[str, ...]:
    """The files of modules of evidence: their own, and those that they import, directly or not.

    Args:
        modules: Their full names, e.g. ``"gengap.evidence.figures.path"``.

    Returns:
        Paths from the project's top, sorted.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _file(waiting.pop(), EVIDENCE)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += _imports(path)
        folder = path.parent
        if folder != PACKAGE:
            waiting.append(".".join(folder.relative_to(PACKAGE.parent).parts))
            found |= {one for one in folder.iterdir() if one.suffix in _SUFFIXES}
        elif (table := path.with_suffix(".csv")).exists():
            found.add(table)
    return tuple(sorted(str(path.relative_to(PACKAGE.parents[1])) for path in found))


@functools.cache
def probe_sources(module: str) -> tuple[str, ...]:
    """The files of a probe: its own, and those of helpers and numerical methods that it imports, directly or not.

    Args:
        module: Its full name, e.g. ``"gengap.probes.hessian_extremes"``.

    Returns:
        Paths from the project's top, sorted.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in _RUNNER else _file(name, MEASURING)
        if path is not None and path not in found:
            found.add(path)
            waiting += _imports(path)
    return tuple(sorted(str(path.relative_to(PACKAGE.parents[1])) for path in found))


def _file(module: str, rooms: tuple[str, ...]) -> Path | None:
    """The file of a module in one of these rooms; None for every other name, such as a function's."""
    inside = module.removeprefix("gengap.")
    if inside == module or not any(f"{inside}.".startswith(f"{room}.") for room in rooms):
        return None
    path = PACKAGE.joinpath(*inside.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    """Every module that a file may import; `from a import b` names a and a.b."""
    return tuple(_names(ast.parse(path.read_text(encoding="utf-8"))))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
