"""The commands `gengap export` and `gengap import`: results without weights, from one machine to another."""

import argparse
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gengap import escaping, layout
from gengap.cli import publish
from gengap.counting import count
from gengap.errors import UserError
from gengap.evidence import export as exporting
from gengap.files import exports, storage
from gengap.studies import imports
from gengap.studies.imports import Import, Imports, listed
from gengap.studies.jobs import Plan
from gengap.studies.names import REDUCED
from gengap.studies.packing import probe_keys
from gengap.studies.project import Project, load_project
from gengap.studies.study import Study, find_study

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def add_parsers(commands: Any) -> None:
    """Add the two commands and their options."""
    for name, run, study, told in (
        ("export", export, True, "Write a study's finished results, without weights, into one small file"),
        ("import", take, False, "Let studies use results that `gengap export` wrote on another machine"),
    ):
        command: argparse.ArgumentParser = commands.add_parser(name, help=told, description=f"{told}.")
        command.set_defaults(run=run)
        if study:
            command.add_argument("study", metavar="STUDY", help="name of a study or a simulation")
        folder = "" if study else ", or a folder that `gengap publish` wrote"
        command.add_argument("file", metavar="FILE", type=Path, help=f"the file, whose name ends with .h5{folder}")


def export(options: argparse.Namespace) -> None:
    """Write an export, and say what it has.

    Raises:
        UserError: If there is no such study, or nothing of it is finished.
    """
    _check_name(options.file)
    project = load_project(asked=[options.study])
    target = find_study(project.targets, options.study)
    known = imports.read()
    if isinstance(target, Study):
        plan, word = Plan({target.name: target}, {}, known), "cell"
    else:
        plan, word = Plan({}, {target.name: target}, known), "point"
    found, of = exporting.export(plan, target.name, options.file)
    print(f"{options.file}: {found:,} of {count(of, word)} of {target.name}, {options.file.stat().st_size:,} bytes")
    if isinstance(target, Study):
        held = imports.read([options.file])
        for line in _lacking(held, target, "not finished"):
            print(f"  {line}")


def take(options: argparse.Namespace) -> None:
    """Check an export, keep it below `layout.IMPORTS`, and say what it stands for.

    Raises:
        UserError: If it is damaged, of other labelled data than those at hand, or of no use to any study.
    """
    path: Path = options.file
    if path.is_dir():
        path = publish.files_of(path)
    _check_name(path)
    if not path.exists():
        raise UserError(f"{path}: does not exist. `gengap export STUDY {path.name}` writes it on the other machine.")
    exports.check(path)
    held, project = imports.read([path]), load_project()
    _check_data(held.files[0], project)
    served = list(_served(held, project))
    if not served:
        raise UserError(f"{path}: is of no use to any study here: {_of_no_use(held, project, options.file)}")
    kept = layout.imported(path.stem)
    if kept.resolve() != path.resolve():
        with storage.beside(kept) as temporary:
            shutil.copyfile(path, temporary)
    print(f"Imported as {kept}; remove that file to undo it.")
    for line in served:
        print(f"  {line}")
    if (name := held.files[0].study) in project.studies:
        for line in _lacking(held, project.studies[name], "to be trained here"):
            print(f"  {line}")


def _of_no_use(held: Imports, project: Project, given: Path) -> str:
    """Why an export serves no study, and what to do.

    Args:
        held: The export.
        project: The project that it was to be imported into.
        given: What the user named: the export or a published folder.
    """
    name = held.files[0].study
    if name in project.studies:
        why = "; ".join(_lacking(held, project.studies[name], "not used"))
        return f"{why or f'{name} has other settings or code'}. Export it with the same commit."
    if not _NAME.fullmatch(name) or name in project.simulations:
        return f"it is of '{escaping.printable(name)}', with other settings or code. Export it with the same commit."
    own = layout.study_file(name.removesuffix(REDUCED))
    file = given / "study.yaml" if (given / "study.yaml").is_file() else None
    add = f"Take it over, and import again: cp {shlex.quote(str(file))} {own}" if file else f"Put its file into {own}."
    return f"it is of the study '{name}', which this project does not have. {add}"


def _served(held: Imports, project: Project) -> Iterator[str]:
    for name, study in project.studies.items():
        if found := held.cells(study):
            yield f"{name}: stands for {len(found):,} of {count(len(study.cells), 'cell')}"
    for name, simulation in project.simulations.items():
        if points := held.points(simulation):
            yield f"{name}: stands for {len(points):,} of {count(len(simulation.points), 'point')}"


def _lacking(held: Imports, study: Study, told: str) -> Iterator[str]:
    """The cells of a study that an import does not stand for, by the reason."""
    one, probes = held.files[0], probe_keys(study.probes)
    keys, served = one.keys(probes), held.cells(study)
    reasons: dict[str, list[str]] = {}
    for name, cell in study.cells.items():
        if name not in served:
            reasons.setdefault(one.lacks(cell, probes, keys) or imports.STARTED_FROM, []).append(name)
    for why, names in reasons.items():
        yield f"{study.name}: {count(len(names), 'cell')} {told} ({why}): {listed(names)}"


def _check_data(held: Import, project: Project) -> None:
    """Refuse what was trained on other labelled data than those at hand.

    Raises:
        UserError: It names the file of the data.
    """
    for study in project.studies.values():
        for name in held.held(imports.texts(study.cells)):
            if labelled := held.of_other_data(study.cells[name]):
                raise UserError(
                    f"{held.path}: was trained on other labelled data than {labelled} holds, so its results are not "
                    "those of this machine's data. Import it where the data are the same, or remove that file."
                )


def _check_name(path: Path) -> None:
    if path.suffix != ".h5" or not _NAME.fullmatch(path.stem):
        raise UserError(
            f"{path}: the name of an export has letters, digits, '.', '_' and '-' and ends with .h5. Rename it."
        )
