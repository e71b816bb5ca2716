"""Which files of the package decide what a job makes: read from the imports, inside the layer of the job.

One rule for all: a job depends on the module of its part and on what this imports inside its layer. An edit of one
numerical method repeats the measurements of the probes that use it, and nothing else. What all parts of a kind share,
their runner and what that imports, is left out, and so is everything below the layer, such as storage and settings, and
all of training: an edit there must not make everything again, so it counts when `gengap.versions` says so, and the
golden run tells when it must. Evidence is cheap to make again, so there the shared modules count as well.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from gengap import layout
from gengap.registry import PACKAGE, ROOMS, check, plugins

_EVIDENCE = ("evidence", "scoreboard", "quantities")
# The packages and modules whose imports are followed, by kind of part; a kind without any only has versions.
LAYERS: dict[str, tuple[str, ...]] = {
    "dataset": ("datasets",),
    "labels": ("labels",),
    "probe": ("probes", "engine.hessian", "engine.numerics"),
    "simulation": ("simulations", "engine.hessian", "engine.numerics"),
    "figure": _EVIDENCE,
    "table": _EVIDENCE,
}
_READ = frozenset({".csv", ".mplstyle"})  # files that modules read


def code_of_part(kind: str, name: str) -> tuple[str, ...]:
    """The files of the package that a part depends on: its own and those that it imports inside its layer.

    A user's own part has a digest of its own, `gengap.registry.code`: its files may lie anywhere. Here are the files of
    the package that it imports.

    Args:
        kind: Kind of the part.
        name: Registered name.

    Returns:
        Paths from the top of a checkout, sorted; none for kinds that have versions instead.
    """
    if kind not in LAYERS:
        return ()
    entry, layer = check(kind, name), LAYERS[kind]
    modules = [entry.module]
    if entry.external:
        own = plugins.files(entry.module, entry.path)
        modules = sorted(
            {imported_name for module, path in own.items() for imported_name in plugins.imports(module, path)}
        )
    runner = f"gengap.{ROOMS[kind].replace('/', '.')}"
    if layer is _EVIDENCE:
        return imported(layer, runner, *modules)
    return tuple(path for path in imported(layer, *modules) if path not in imported(layer, runner))


def code_of_evidence(*modules: str) -> tuple[str, ...]:
    """As `code_of_part`, of modules of evidence such as ``gengap.evidence.verdicts``."""
    return imported(_EVIDENCE, *modules)


def digest(paths: Iterable[str]) -> str:
    """Digest of the content of files that `code_of_part` named, for the provenance of what they made.

    Args:
        paths: As `code_of_part` or a job names them.
    """
    content = hashlib.sha256()
    for path in paths:
        name = layout.in_checkout(Path(path))
        source = file_of(name).read_bytes()
        content.update(f"{name} {len(source)} ".encode() + source)
    return content.hexdigest()[:16]


def name_of(file: Path) -> str:
    """The name in a checkout of a file of the package."""
    return (layout.PACKAGE / file.relative_to(PACKAGE)).as_posix()


def file_of(name: str | Path) -> Path:
    """The file of the package that has a name in a checkout, wherever the package is installed."""
    return PACKAGE / Path(name).relative_to(layout.PACKAGE)


@functools.cache
def imported(layer: tuple[str, ...], *modules: str) -> tuple[str, ...]:
    """The files of modules and of those that they import, directly or not, inside a layer.

    Args:
        layer: Packages and modules below ``gengap``; imports of others are not followed.
        modules: Full names, e.g. ``gengap.evidence.figures.path``.

    Returns:
        Paths from the top of a checkout, sorted.
    """
    files: set[Path] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file(name, layer)
        if path is None or path in files:
            continue
        files |= {path, *_read_by(path)}
        waiting += [name.rpartition(".")[0], *plugins.imports(name, path)]
    return tuple(sorted(map(name_of, files)))


def _file(module: str, layer: tuple[str, ...]) -> Path | None:
    """The file of a module inside a layer; None for every other name, such as a function's."""
    inside = module.removeprefix("gengap.")
    if inside == module or not any(f"{inside}.".startswith(f"{room}.") for room in layer):
        return None
    path = PACKAGE.joinpath(*inside.split("."))
    return next(
        (candidate for candidate in (path.with_suffix(".py"), path / "__init__.py") if candidate.is_file()), None
    )


def _read_by(path: Path) -> Iterator[Path]:
    """Files that are no modules: of a package all, since any of its modules may read them; else of the same name."""
    beside = path.parent.iterdir() if path.parent != PACKAGE else (path.with_suffix(suffix) for suffix in _READ)
    return (file for file in beside if file.suffix in _READ and file.is_file())
