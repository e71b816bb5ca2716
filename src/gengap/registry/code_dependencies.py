"""Which files of the package decide what a figure, a table or a verdict shows: read from the imports.

Evidence is cheap to make again, so its rules list every such file as an input, and an edit remakes what depends on it
and nothing else. What is costly depends on `gengap.versions` instead.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
EVIDENCE = ("evidence", "quantities")  # below them are files and settings, which have versions
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
        path = _file(waiting.pop())
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


def _file(module: str) -> Path | None:
    """The file of a module of evidence; None for every other name, such as a function's."""
    parts = module.split(".")
    if parts[0] != "gengap" or len(parts) < 2 or parts[1] not in EVIDENCE:
        return None
    path = PACKAGE.joinpath(*parts[1:])
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
