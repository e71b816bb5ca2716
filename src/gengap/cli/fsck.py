"""The command `gengap fsck`: is every file that is kept what was written, and if not, how is it made again."""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.counting import count, noun
from gengap.errors import UnreadableError, UserError
from gengap.files import file_digest, hdf5, paths
from gengap.files.lineage import is_followed
from gengap.snakemake_support import records, run_lock
from gengap.studies.reading import read_yaml
from gengap.studies.settings import Cell

_SHOWN = 6  # files named that a damaged one was made from


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written.

    Attributes:
        path: Where it is, from the project's top; a file of another store may lie elsewhere.
        why: What is wrong with it.
        made_from: What it was made from, for people.
        target: What `snakemake` is to be asked for, so that it is made again; None if that happens by itself.
        record: Whether the file is a record of Snakemake's, and `target` the file that it is of.
        cell: Of a cell in the store, its name and settings in the study whose pack `target` is.
    """

    path: Path
    why: str
    made_from: str
    target: Path | None
    record: bool = False
    cell: tuple[str, Cell] | None = None

    @property
    def again(self) -> str:
        """How it is made again, for people."""
        if self.target is None:
            return "by the next run that asks for it"
        if self.cell:
            return f"gengap fsck --repair, from {self.target.parent}"
        return f"snakemake {shlex.quote(str(self.target))}"


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    text = "Verify the digest of every stored file; list damaged files and the commands that make them again"
    command: argparse.ArgumentParser = commands.add_parser("fsck", help=text, description=f"{text}.")
    command.set_defaults(run=fsck)
    command.add_argument(
        "--repair", action="store_true", help="move damaged files to .gengap/damaged, and make them again"
    )


def fsck(options: argparse.Namespace) -> None:
    """Tell what is damaged; with ``--repair``, set it aside and call Snakemake.

    Raises:
        UserError: If something is damaged and stays so.
    """
    damaged = list(damages(Path()))
    for damage in damaged:
        print(f"{damage.path}: {damage.why}")
        print(f"  made from   {damage.made_from}")
        print(f"  made again  {damage.again}")
    checked, without = _counted(Path())
    old = f"{count(without, 'file')} from before November 2026 {noun(without, 'has', 'have')}"
    print(
        f"{count(checked, 'HDF5 file')} compared with the digests, {count(len(damaged), 'file')} damaged"
        + (
            f"; {old} from before November 2026 {noun(without, 'has', 'have')} no digest and can be read."
            if without
            else "."
        )
    )
    if not damaged:
        return
    if not options.repair:
        raise UserError(
            f"{count(len(damaged), 'file')} {noun(len(damaged), 'is', 'are')} damaged. `gengap fsck --repair` sets "
            f"{noun(len(damaged), 'it', 'them')} aside and makes {noun(len(damaged), 'it', 'them')} again."
        )
    _repair(damaged, Path())


def damages(project: Path) -> Iterator[Damage]:
    """Find all damaged files of a project: data, results, its store, Snakemake's records.

    Args:
        project: The project's top.
    """
    for folder in (layout.PREPARED, layout.LABELLED, layout.RESULTS):
        for path in paths.files_below(project / folder):
            if path.suffix == ".h5" and (why := _why(path)):
                name = path.relative_to(project)
                yield Damage(name, why, _made_from(name, project), name)
    store = project / configured_store(project)
    for path in paths.files_below(layout.stored_cells(store)):
        if path.suffix == ".h5" and (why := _why(path, stored=True)):
            target, told, cell = _asked_for(path.stem, project)
            yield Damage(_from(path, project), why, told, target, cell=cell)
    for folder, content in (
        (layout.stored_measurements(store), "what a probe measured of a cell"),
        (layout.unfinished(store), "a pack that was interrupted"),
    ):
        for path in paths.files_below(folder):
            if path.suffix == ".h5" and (why := _why(path)):
                yield Damage(_from(path, project), why, content, None)
    for record, path in records.damaged(project):
        yield Damage(record.relative_to(project), f"is damaged: Snakemake's record of {path}", "-", path, record=True)
    for _, path in records.everything(project):
        output = records.sealed(path, project).get("output", "")
        if path.suffix != ".h5" and output and (project / path).is_file() and _sha256(project / path) != output:
            yield Damage(path, "is not what was made", _made_from(path, project), path)


def configured_store(project: Path) -> Path:
    """The folder of finished networks that the project's configuration names, from the project's top or absolute."""
    config = project / layout.CONFIG
    return Path(str(read_yaml(config).get("store", layout.STORE))) if config.exists() else layout.STORE


def _from(path: Path, project: Path) -> Path:
    return path.relative_to(project) if path.is_relative_to(project) else path


def _why(path: Path, *, stored: bool = False) -> str:
    """What is wrong with an HDF5 file; empty if nothing is."""
    try:
        with hdf5.read(path) as file:
            file.visititems(lambda _, item: None)
            old = not file.userblock_size
        if old and stored:
            from gengap.training import cell_store  # PyTorch: for entries from before November 2026 alone

            return "" if cell_store.is_whole(path) else "is damaged: its content is not what was written"
    except UnreadableError:  # it may be sound
        raise
    except UserError as error:
        return str(error).removeprefix(f"{path}: ").split(". ")[0]
    except (OSError, RuntimeError, KeyError) as error:
        return f"is damaged: HDF5 cannot read it ({error})"
    return ""


def _made_from(path: Path, project: Path) -> str:
    """The recorded inputs that jobs made."""
    try:
        inputs = [name for name in records.read(path, project).get("input") or () if is_followed(Path(name))]
    except UserError:
        return "unknown: its record is damaged too"
    more = f" and {len(inputs) - _SHOWN} more" if len(inputs) > _SHOWN else ""
    return ", ".join(inputs[:_SHOWN]) + more or "raw data, or nothing is recorded"


def _asked_for(identity: str, project: Path) -> tuple[Path | None, str, tuple[str, Cell] | None]:
    """The pack of a study that asks for a cell, and the cell; of one that nobody asks for, nothing."""
    from gengap import labels
    from gengap.studies.identity import cell_identity
    from gengap.studies.packing import dataset_key, labels_key, packs
    from gengap.studies.study import load_studies

    for study in load_studies(project / layout.STUDIES).values():
        for pack, names in packs(study).items():
            cells = {name: study.cells[name] for name in names}
            first = next(iter(cells.values()))
            data = dataset_key(first), labels_key(first)
            try:
                read = labels.read(project / layout.prepared(data[0]), project / layout.labelled(*data))
                digest = read.digest_for(first.loss)
            except UserError:
                continue
            for name, cell in cells.items():
                if cell_identity(cell, digest) == identity:
                    told = f"cell {name} of {study.name}: {json.dumps(cell.identity(), sort_keys=True)}"
                    return layout.weights(study.name, pack), told, (name, cell)
    return None, "a cell that no study asks for, or whose labelled data are missing", None


def _put_back(damage: Damage, project: Path) -> None:
    """Put a cell into the store again, from the pack that has it too."""
    from gengap.training import cell_result, cell_store

    if damage.cell and damage.target and not (project / damage.path).exists():
        name, cell = damage.cell
        weights = project / damage.target
        found = cell_result.read({name: cell}, weights, layout.history_in(weights.parent))
        if name in found and found[name].identity == damage.path.stem:
            cell_store.put((project / damage.path).parents[2], found[name])


def _repair(found: list[Damage], project: Path) -> None:
    """Set aside and make again.

    Raises:
        UserError: If another run is at work, or Snakemake failed.
    """
    with run_lock.alone(project) as alone:
        if not alone:
            raise UserError("another run is at work here. Wait for its end, and call this again.")
        for damage in found:
            if damage.record and damage.target:
                records.set_aside(project / damage.path, damage.target, project)
            else:
                aside = project / layout.DAMAGED / str(damage.path).lstrip("/")
                aside.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(project / damage.path, aside)
    print(
        f"Set aside below {layout.DAMAGED}: {count(len(found), 'file')}. The next run also makes again what was made "
        f"from {noun(len(found), 'it', 'them')}."
    )
    if targets := sorted({str(damage.target) for damage in found if damage.target}):
        if subprocess.run([sys.executable, "-m", "snakemake", *targets], cwd=project, check=False).returncode:
            raise UserError(f"not all was made again. Once it can be: snakemake {shlex.join(targets)}")
        for damage in found:
            _put_back(damage, project)
        print(f"Made again: {count(len(targets), 'file')}.")


def _counted(project: Path) -> tuple[int, int]:
    """How many HDF5 files have a digest, and how many have none."""
    folders = (layout.PREPARED, layout.LABELLED, layout.RESULTS, configured_store(project))
    files = [path for one in folders for path in paths.files_below(project / one) if path.suffix == ".h5"]
    digests = [os.access(path, os.R_OK) and bool(file_digest.read(path)) for path in files]
    return sum(digests), len(digests) - sum(digests)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
