"""Which files of the package decide what a job makes: read from the imports, inside the layer of the job.

The layer is drawn where numbers are decided. What a probe measures is decided in `probes` and `engine`, so an edit
there repeats the measurements of the probes that import the edited file. Outside of a layer are the modules that all
jobs share and that change no number: settings, storage, logs. Training has no layer: networks are costly, so an edit of
its code, of models, losses and inits counts when `gengap.versions` says so.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from gengap.registry import PACKAGE, ROOMS, check, plugins

_EVIDENCE = ("evidence", "scoreboard", "quantities")
# Top-level packages and modules in which numbers are decided, by kind of part; a kind without any has versions alone.
LAYERS: dict[str, tuple[str, ...]] = {
    "dataset": ("datasets",),
    "labels": ("labels",),
    "probe": ("probes", "engine"),
    "simulation": ("simulations", "engine"),
    "figure": _EVIDENCE,
    "table": _EVIDENCE,
}
_READ = frozenset({".csv", ".mplstyle", ".cpp", ".h"})  # files that modules read


def code_of_part(kind: str, name: str) -> tuple[str, ...]:
    """The files of the package behind a part: its own, what calls it, and what these import inside its layer.

    A user's own part has a digest of its own, `gengap.registry.code`: its files may lie anywhere. Here are the files of
    the package that it imports.

    Args:
        kind: Kind of the part.
        name: Registered name.

    Returns:
        Paths from the project's folder, sorted; none for kinds that have versions instead.
    """
    if kind not in LAYERS:
        return ()
    entry = check(kind, name)
    modules = [entry.module]
    if entry.external:
        own = plugins.files(entry.module, entry.path)
        modules = sorted({one for module, path in own.items() for one in plugins.imports(module, path)})
    return imported(LAYERS[kind], f"gengap.{ROOMS[kind].replace('/', '.')}", *modules)


def code_of_evidence(*modules: str) -> tuple[str, ...]:
    """As `code_of_part`, of modules of evidence such as ``gengap.evidence.verdicts``."""
    return imported(_EVIDENCE, *modules)


@functools.cache
def imported(layer: tuple[str, ...], *modules: str) -> tuple[str, ...]:
    """The files of modules and of those that they import, directly or not, inside a layer.

    Args:
        layer: Top-level packages and modules; imports of others are not followed.
        modules: Full names, e.g. ``gengap.evidence.figures.path``.

    Returns:
        Paths from the project's folder, sorted.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file(name, layer)
        if path is None or path in found:
            continue
        found |= {path, *_read_by(path)}
        waiting += [name.rpartition(".")[0], *plugins.imports(name, path)]
    return tuple(sorted(path.relative_to(PACKAGE.parents[1]).as_posix() for path in found))


def _file(module: str, layer: tuple[str, ...]) -> Path | None:
    """The file of a module inside a layer; None for every other name, such as a function's."""
    top, *parts = module.split(".")
    if top != "gengap" or not parts or parts[0] not in layer:
        return None
    path = PACKAGE.joinpath(*parts)
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def _read_by(path: Path) -> Iterator[Path]:
    """Files that are no modules, of which we take that a module reads those beside it and in folders beside it."""
    folder = path.parent
    if folder == PACKAGE:
        yield from (one for one in (path.with_suffix(suffix) for suffix in _READ) if one.is_file())
        return
    packages = {one.parent for one in folder.glob("*/__init__.py")}
    for one in (*folder.iterdir(), *folder.glob("*/*")):
        if one.suffix in _READ and one.parent not in packages:
            yield one
