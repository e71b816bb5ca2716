"""Every name a study may use, in one table per kind, read from the headers of the parts.

A part is one file in the folder of its kind, of this package or of the user's `plugins/`; or a module anywhere, named
by its import path. Its header is read without importing it, so that the workflow can check a study without torch.
"""

import importlib
import keyword
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from gengap.errors import UserError, unknown_name
from gengap.registry import headers, plugins
from gengap.registry.entry import Entry, entry

__all__ = ["REGISTRY", "ROOMS", "Entry", "MissingPackageError", "check", "code", "known", "load", "unknown"]

PACKAGE = Path(__file__).parents[1]

# Where the parts of a kind lie, below the package and below `plugins/`.
ROOMS: dict[str, str] = {
    "dataset": "datasets",
    "labels": "labels",
    "model": "models",
    "init": "inits",
    "loss": "losses",
    "optimizer": "training/optimizers",
    "schedule": "training/schedules",
    "probe": "probes",
    "simulation": "simulations",
    "figure": "evidence/figures",
    "table": "evidence/tables",
}


# The functions that every part of a kind has; those of other kinds have several ways.
NEEDED: dict[str, tuple[str, ...]] = {
    "loss": ("n_outputs", "sample_losses"),
    "model": ("build",),
    "optimizer": ("start", "step"),
    "schedule": ("decide",),
    "probe": ("measure",),
}

# What the workflow itself writes beside the parts of a kind.
RESERVED: dict[str, str] = {"table": "verdicts"}


class MissingPackageError(UserError):
    """A part needs a package that this machine lacks; another one may have it."""


class _Registry(Mapping[str, dict[str, Entry]]):
    """The tables, read when first asked for: a faulty header is then a message like any other."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Entry]] = {}

    def __getitem__(self, kind: str) -> dict[str, Entry]:
        if kind not in self._tables:
            self._tables[kind] = _scan(kind)
        return self._tables[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(ROOMS)

    def __len__(self) -> int:
        return len(ROOMS)


def _scan(kind: str) -> dict[str, Entry]:
    """Every part of a kind: ours by name, then the user's."""
    room = ROOMS[kind]
    table: dict[str, Entry] = {}
    for top, package in ((PACKAGE, "gengap"), (plugins.folder(), plugins.PACKAGE)):
        own = package != "gengap"
        for path in sorted(top.joinpath(room).glob("*.py")):
            module = ".".join((package, *room.split("/"), path.stem))
            found = headers.read(path)
            for name, header in found.items():
                if own and (keyword.iskeyword(name) or not re.fullmatch(r"[A-Za-z_]\w*", name)):
                    raise UserError(
                        f"{path}: '{name}' cannot be the name of a {kind}, of which files and rules are named. Use "
                        "letters, digits and _, a letter first."
                    )
                if own and RESERVED.get(kind) == name:
                    raise UserError(f"{path}: gengap itself writes a {kind} '{name}'. Rename the file.")
                if name in table:
                    raise UserError(
                        f"{path}: the {kind} '{name}' exists already, in {table[name].path}. Rename the file."
                    )
                table[name] = entry(kind, header, module=module, path=path, external=own)
    return table


REGISTRY: Mapping[str, dict[str, Entry]] = _Registry()


def check(kind: str, name: str, *, where: str = "") -> Entry:
    """Return the entry of a name, or raise a `UserError` that lists the names of that kind.

    An import path such as ``my_package.my_model`` becomes a name of the table. A user's own part must be valid Python;
    those that nobody asks for need not be.
    """
    table = REGISTRY[kind]
    if name not in table and (path := plugins.find(name)):
        parts = headers.read(path)
        if name.rpartition(".")[2] not in parts:
            raise UserError(f'{path}: has no header, so it is no {kind}. Give it one: PART = {{"summary": ...}}.')
        table[name] = entry(kind, parts[name.rpartition(".")[2]], module=name, path=path, external=True)
    if name not in table:
        raise unknown(kind, name, where=where)
    if table[name].external:
        plugins.check_python(table[name].path)
    return table[name]


def known(kind: str, name: str) -> bool:
    """Whether a name is that of a part, or the import path of one."""
    return name in REGISTRY[kind] or plugins.find(name) is not None


def unknown(kind: str, name: str, *, where: str = "") -> UserError:
    """What to say of a name that no part of a kind has: another kind may have it, or a file that is no part yet."""
    place = f"{where}: " if where else ""
    others = [other for other in ROOMS if other != kind and name in REGISTRY[other]]
    room = plugins.folder() / ROOMS[kind]
    stray = sorted(plugins.folder().rglob(f"{name}.py")) if re.fullmatch(r"\w+", name) else []
    if others:
        listed = others[0] in ("probe", "figure", "table")
        key = f"{others[0]}s" if listed else f"base.{others[0]}"
        return UserError(f"{place}'{name}' is no {kind}. Write it below `{key}`, or choose another name here.")
    if stray and stray[0].parent == room:
        return UserError(f'{stray[0]}: has no header, so it is no {kind}. Give it one: PART = {{"summary": ...}}.')
    if stray:
        return UserError(f"{place}unknown {kind} '{name}': {stray[0]} is not read. Move it to {room}.")
    return unknown_name(kind, name, REGISTRY[kind], where=where)


def load(kind: str, name: str) -> ModuleType:
    """Import the module that implements a registered name."""
    part = check(kind, name)
    if part.external and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(part.module)
    except ModuleNotFoundError as error:
        if part.external and str(error.name).split(".")[0] == part.module.split(".")[0]:
            raise plugins.import_error(part.module, part.path, error) from error
        raise MissingPackageError(
            f"the {kind} '{name}' needs the package '{error.name}'. Install it, or run `make env`."
        ) from error
    except (Exception, SystemExit) as error:
        if part.external and not isinstance(error, UserError):
            raise plugins.import_error(part.module, part.path, error) from error
        raise
    if part.external and (
        missing := [each for each in NEEDED.get(kind, ()) if not callable(getattr(module, each, None))]
    ):
        raise UserError(
            f"{part.path}: has no function `{missing[0]}`, which every {kind} has. `gengap new {kind} NAME --plugin` "
            "writes an example."
        )
    return module


def code(kind: str, name: str) -> str:
    """Digest of a user's own part: its module and those of its package that it imports; empty for built-in parts.

    Ours have numbers in `gengap.versions` instead, so that an edit that changes no number makes nothing again.
    """
    part = check(kind, name)
    return plugins.digest(part.module, part.path) if part.external else ""
