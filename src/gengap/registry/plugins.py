"""A user's own parts: files below `plugins/` in the project's folder, or modules named by their import path.

They are found without being imported. Their code is part of what they make: its digest covers the module and every
module of the same package that it imports. A plugin is code: it
runs with the rights of whoever runs a study, so read one before you run it.
"""

import ast
import functools
import hashlib
import importlib.machinery
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from gengap.errors import UserError

PACKAGE = "plugins"

_valid: set[Path] = set()  # files that were found to be Python


def folder() -> Path:
    """Where a user's own parts lie, which need not exist."""
    return Path(PACKAGE)


def find(name: str) -> Path | None:
    """The file of a module by its import path; None if there is none, or the name is no import path."""
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        return None
    top, *rest = name.split(".")
    spec = importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd()), *sys.path])
    for base in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(base).joinpath(*rest)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def files(module: str, path: Path) -> dict[str, Path]:
    """The files of a part: its own, and those of its top package that it imports, directly or not, by module."""
    parts: dict[str, Path] = {}
    waiting: list[tuple[str, Path | None]] = [(module, path)]
    while waiting:
        name, file = waiting.pop()
        if file is None or name in parts:
            continue
        parts[name] = file
        waiting += [
            (imported, find(imported))
            for imported in imports(name, file)
            if imported.split(".")[0] == module.split(".")[0]
        ]
    return dict(sorted(parts.items()))


@functools.cache  # thousands of cells ask
def digest(module: str, path: Path) -> str:
    """Of the source of a part and of what of its package it imports."""
    content = hashlib.sha256()
    for name, file in files(module, path).items():
        source = file.read_bytes()
        content.update(f"{name} {len(source)} ".encode() + source)
    return content.hexdigest()[:16]


def check_python(path: Path) -> None:
    """Refuse a file that is not Python, without importing it.

    Raises:
        UserError: The message names file and line.
    """
    if (whole := path.absolute()) in _valid:  # asked for every cell
        return
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}:" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(f"{path}:{line} is not valid Python: {said}.") from error
    _valid.add(whole)


def import_error(module: str, path: Path, error: BaseException) -> UserError:
    """What to tell of a part that fails while it is imported: where in the user's own files, and why."""
    file, line = path, 0
    if isinstance(error, SyntaxError) and error.filename:
        file, line = Path(error.filename), error.lineno or 0
    else:
        own = {str(one.resolve()): one for one in files(module, path).values()}
        for frame, number in traceback.walk_tb(error.__traceback__):
            if found := own.get(str(Path(frame.f_code.co_filename).resolve())):
                file, line = found, number
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    said = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split()).rstrip(".")
    where = f"{file}: line {line}" if line else str(file)
    return UserError(
        f"{where}: cannot be imported: {type(error).__name__}{f': {said}' if said else ''}. Correct it, or remove the "
        "file."
    )


def missing_packages(path: Path) -> Iterator[tuple[int, str]]:
    """The packages that a file imports on its first level and that are not on this machine, each with its line."""
    for node in ast.parse(path.read_bytes()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        yield from ((node.lineno, top) for name in names if not _is_there(top := name.split(".")[0]))


def _is_there(top: str) -> bool:
    if top in sys.modules or top in sys.stdlib_module_names or importlib.util.find_spec(top):
        return True
    return importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd())]) is not None


@functools.cache  # many parts import the same
def imports(module: str, path: Path) -> tuple[str, ...]:
    """Every module that a file may import; `from a import b` names a and a.b, `from . import b` its neighbours.

    Raises:
        UserError: If the file is not Python.
    """
    return tuple(_imports(module, path))


def _imports(module: str, path: Path) -> Iterator[str]:
    here = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as Python: {error}.") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (source, *(f"{source}.{alias.name}" for alias in node.names))
