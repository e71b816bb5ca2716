"""A user's own parts: whether they can be imported, and which packages they lack, asked before anything runs."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gengap import registry
from gengap.errors import UserError
from gengap.files import user_cache
from gengap.registry import plugins
from gengap.studies.networks import ask_process
from gengap.studies.schema import Component
from gengap.studies.simulation import Simulation
from gengap.studies.study import Study

Part = tuple[str, str]  # a kind and a name
MOST_KEPT = 1_000  # in the cache
_CACHE = "own_parts.json"


def check(used: Mapping[str, Study | Simulation], *, ask: bool = True) -> list[str]:
    """Import every own part in a process of its own, since what fails there would fail in a job.

    Args:
        used: Studies and simulations by their files.
        ask: Whether to import what was not imported before, which takes seconds.

    Returns:
        Warnings of parts that none of them uses, and of parts that lack a package.

    Raises:
        UserError: If one of them uses a part that cannot be imported; the message names both files and the line.
    """
    users = {part: where for where, one in used.items() for part in _parts(one)}
    own = [part for part in dict.fromkeys((*users, *_of_plugins())) if registry.REGISTRY[part[0]][part[1]].external]
    warnings = []
    for part, (fault, missing) in _faults(own, ask=ask).items():
        if part in users and not missing:
            raise UserError(f"{users[part]}: the {part[0]} '{part[1]}' cannot be used. {fault}")
        warnings.append(fault)
    return list(dict.fromkeys(warnings))


def files(study: Study) -> dict[str, Path]:
    """The files of the user's own that a study's parts are made of, by the name that their import path gives them."""
    found: dict[str, Path] = {}
    for kind, name in dict.fromkeys(_parts(study)):
        entry = registry.check(kind, name)
        for module, path in plugins.files(entry.module, entry.path).items() if entry.external else ():
            stem = module.replace(".", "/")
            found[f"{stem}/__init__.py" if path.name == "__init__.py" else f"{stem}.py"] = path
    return dict(sorted(found.items()))


def lacking(study: Study, where: str) -> list[str]:
    """Warnings of packages that parts of the study import and that are not here; another machine may have them.

    Args:
        study: The study.
        where: Its file.
    """
    return list(dict.fromkeys(_lacking(study, where)))


def _lacking(study: Study, where: str) -> Iterator[str]:
    for kind, name in dict.fromkeys(_parts(study)):
        entry = registry.check(kind, name)
        for line, package in plugins.missing_packages(entry.path) if entry.external else ():
            yield (
                f"{where}: the {kind} '{name}' imports '{package}' ({entry.path}, line {line}), which is not on this "
                "machine. Install it before a run."
            )


def _parts(one: Study | Simulation) -> Iterator[Part]:
    listed: list[Component] = [*one.figures, *one.tables]
    if isinstance(one, Study):
        sections = {id(section): section for cell in one.cells.values() for _, section in cell}
        listed += [*one.probes, *(section for section in sections.values() if isinstance(section, Component))]
    else:
        yield "simulation", one.simulated
    yield from ((part.kind, part.name) for part in listed)


def _of_plugins() -> Iterator[Part]:
    """Every part below `plugins/`, used or not."""
    for kind, room in registry.ROOMS.items():
        if any((plugins.folder() / room).glob("*.py")):
            yield from ((kind, name) for name in registry.REGISTRY[kind])


def _faults(parts: Iterable[Part], *, ask: bool) -> dict[Part, tuple[str, bool]]:
    """Why parts cannot be imported, and whether only a package is missing; without those that can."""
    found: dict[Part, tuple[str, bool]] = {}
    keys: dict[Part, str] = {}
    for part in parts:
        try:
            keys[part] = _key(part)
        except UserError as error:
            found[part] = str(error), False
    known = user_cache.read(_CACHE) if keys else {}
    unknown = [part for part, key in keys.items() if key not in known]
    if not ask or not unknown:
        return found
    asked = dict(zip(unknown, _import(unknown), strict=True))
    sound = {keys[part]: "" for part, (fault, _) in asked.items() if not fault}
    user_cache.write(_CACHE, dict([*known.items(), *sound.items()][-MOST_KEPT:]))
    return {**found, **{part: fault for part, fault in asked.items() if fault[0]}}


def _key(part: Part) -> str:
    """A digest of the code of a part, and of what imports it."""
    registry.check(*part)
    text = json.dumps([*part, registry.code(*part), sys.version, registry.NEEDED.get(part[0], ())])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _import(parts: list[Part]) -> list[tuple[str, bool]]:
    """Import parts in a process of its own; each in its own, where one ends the process."""
    done = ask_process("gengap.registry", json.dumps(parts))
    try:
        answers: list[Any] = json.loads(done.stdout)
        return [(str(fault), bool(missing)) for fault, missing in answers]
    except ValueError:
        if len(parts) > 1:
            return [answer for part in parts for answer in _import([part])]
    path = registry.check(*parts[0]).path
    return [(f"{path}: ends the process that imports it (status {done.returncode}). Correct it.", False)]
