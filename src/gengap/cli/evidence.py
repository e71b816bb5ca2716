"""The command `gengap evidence`: figures, tables and verdicts of docs/findings again, from the exports kept there."""

import argparse
import csv
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.counting import count
from gengap.errors import UserError
from gengap.evidence import imported
from gengap.files import storage
from gengap.studies import imports
from gengap.studies.imports import Imports, listed
from gengap.studies.jobs import Plan
from gengap.studies.project import Project, load_project
from gengap.studies.study import find_study

_RELATIVE, _ABSOLUTE = 1e-5, 1e-9  # of two numbers that are the same on two machines; tables print six digits


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    text = f"Redraw the evidence in {layout.FINDINGS} from the exports kept there, without training, and compare it"
    command: argparse.ArgumentParser = commands.add_parser("evidence", help=text, description=f"{text}.")
    command.set_defaults(run=evidence)
    command.add_argument("studies", nargs="*", metavar="STUDY", help="only of these studies; of all by default")
    command.add_argument("--write", action="store_true", help="write it instead of comparing it")


def evidence(options: argparse.Namespace) -> None:
    """Redraw, and compare or write.

    Raises:
        UserError: If a committed table differs from what its export gives.
    """
    held = imports.read(sorted(layout.EXPORTS.glob("*.h5")))
    names = list(dict.fromkeys(one.study for one in held.files))
    for name in options.studies:
        find_study(dict.fromkeys(names), name)
    project = load_project(asked=options.studies or names)
    wrong: list[str] = []
    for name in options.studies or names:
        with tempfile.TemporaryDirectory() as folder:
            told, left_out = redraw(project, name, held, Path(folder))
            made, kept = sorted(_made(name, Path(folder))), findings_folder(project, name)
            print(f"{name}: {told}, {count(len(made), 'file')}")
            for line in left_out:
                print(f"  {line}")
            if options.write:
                write(made, kept)
            elif found := list(differences(made, kept)):
                wrong += [f"{name}: {line}" for line in found]
    folders = {path.parent for path in layout.FINDINGS.rglob("*.csv")} - {
        findings_folder(project, one) for one in names
    }
    if folders and not options.studies:
        print(f"Without an export, and so not redrawn: {listed(sorted(folder.name for folder in folders))}.")
    if wrong:
        raise UserError(
            f"{layout.FINDINGS}: differs from what its exports give.\n  " + "\n  ".join(wrong) + "\n"
            "Look at what changed, and if it is right: gengap evidence --write"
        )


def redraw(project: Project, name: str, held: Imports, folder: Path) -> tuple[str, list[str]]:
    """Make the evidence of the part of a study that exports hold.

    Args:
        project: The project.
        name: Name of the study or the simulation.
        held: The exports. Results of earlier code count: they are what they were.
        folder: Where the results go.

    Returns:
        How much of the study they hold; what could not be drawn of it, and why.

    Raises:
        UserError: If they hold nothing of the study as it is now.
    """
    from gengap.evidence.whole import make  # draws: no other command needs matplotlib

    target = find_study(project.targets, name)
    if name in project.studies:
        study = project.studies[name]
        cells = list(held.cells(study, any_code=True))
        part, of = make.restricted(study, cells), count(len(study.cells), "cell")
        plan, found, size = Plan({name: part}, {}), imported.of_study(part, held, any_code=True), len(cells)
    else:
        simulation = project.simulations[name]
        points = held.points(simulation, any_code=True)
        part_of = simulation.model_copy(update={"points": {one: simulation.points[one] for one in points}})
        plan, found = Plan({}, {name: part_of}), imported.of_simulation(part_of, held, any_code=True)
        size, of = len(points), count(len(simulation.points), "point")
    if not size:
        raise UserError(
            f"{layout.EXPORTS}: holds nothing of '{target.name}' as {layout.STUDIES} has it now: its settings changed. "
            "Run and export it again, or remove the export."
        )
    return f"{size:,} of {of}", make.redraw(plan, name, found, folder)


def findings_folder(project: Project, name: str) -> Path:
    """Where the evidence of a study is kept: where it is already, or below its paper's."""
    if known := sorted(path for path in layout.FINDINGS.rglob(name) if path.is_dir()):
        return known[0]
    plain = name.removesuffix("-reduced")
    papers = [paper for paper, one in project.papers.items() if plain in one.studies]
    return layout.FINDINGS.joinpath(*papers[:1], name)


def differences(made: Sequence[Path], kept: Path) -> Iterator[str]:
    """How tables that were made differ from those that are kept, a line per table."""
    tables = {path.name: path for path in made if path.suffix == ".csv"}
    committed = {path.name for path in kept.glob("*.csv")}
    for name in sorted(committed - {*tables}):
        yield f"{kept / name}: the export does not give it"
    for name, path in tables.items():
        if name not in committed:
            yield f"{kept / name}: is missing"
        elif difference := _difference(_rows(path), _rows(kept / name)):
            yield f"{kept / name}: {difference}"


def write(made: Sequence[Path], kept: Path) -> None:
    """Put tables and pictures in place of those that are kept."""
    for old in [path for path in kept.glob("*") if path.suffix in (".csv", ".png")]:
        old.unlink()
    for path in made:
        with storage.beside(kept / path.name) as temporary:
            shutil.copyfile(path, temporary)
    print(f"  written to {kept}")


def _made(name: str, folder: Path) -> Iterator[Path]:
    """The tables and pictures that are kept; verdicts only where something was published."""
    for path in (folder / layout.results(name)).rglob("*"):
        if path.suffix not in (".csv", ".png") or path.name == layout.cells(name).name:
            continue
        page = layout.page_figure(name, path.stem, "png")
        if path.suffix == ".png" and path.relative_to(folder) != page:  # pages in docs/findings are wide
            continue
        if path.name != layout.verdicts(name).name or len(_rows(path)) > 1:
            yield path


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _difference(made: list[list[str]], kept: list[list[str]]) -> str:
    """The first difference of two tables; empty if there is none."""
    if len(made) != len(kept):
        return f"has {count(len(kept) - 1, 'row')}, and the export gives {len(made) - 1}"
    for line, (new, old) in enumerate(zip(made, kept, strict=True), 1):
        if len(new) != len(old):
            return f"line {line} has {len(old)} columns, and the export gives {len(new)}"
        for column, one, other in zip(made[0], new, old, strict=False):
            if not _same(one, other):
                return f"line {line}, {column}: {other!r}, and the export gives {one!r}"
    return ""


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    except ValueError:
        return False
