"""The command `gengap publish`: a finished study as a folder that stands alone, in the form that archives take.

Zenodo and Hugging Face take such a folder as it is: a page that says what it is, a citation, checksums, plain tables
and pictures, weights as safetensors. `gengap import FOLDER` takes the results into another project.
"""

import argparse
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from gengap import escaping, layout
from gengap.counting import count
from gengap.errors import UserError
from gengap.evidence import export as exporting
from gengap.files import storage
from gengap.files.new_folder import new_folder
from gengap.results import Results, load
from gengap.studies import imports, own_parts
from gengap.studies.jobs import Plan
from gengap.studies.names import REDUCED
from gengap.studies.project import load_project
from gengap.studies.study import Study, find_study

CHECKSUMS, WEIGHTS = "SHA256SUMS", "weights"
_TEMPLATES = Path(__file__).parent / "publication"


def add_parser(commands: Any) -> None:
    """Add the command to those of `gengap`."""
    text = "Write a finished study as a folder to publish: results, weights, citation, checksums"
    command = commands.add_parser("publish", help=text, description=text + ".")
    command.set_defaults(run=run)
    command.add_argument("study", metavar="STUDY", help="name of a finished study")
    command.add_argument("folder", metavar="FOLDER", type=Path, help="a new folder")


def run(options: argparse.Namespace) -> None:
    """Write the folder, and say what it has.

    Raises:
        UserError: If there is no such study, it is not finished, or the folder exists.
    """
    study = find_study(load_project(asked=[options.study]).studies, options.study)
    folder: Path = options.folder
    with new_folder(folder, "gengap publish") as building:
        networks = _write(study, load(layout.results(study.name)), building)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {networks:,} of {count(len(study.cells), 'network')} of {study.name}, {size / 2**20:,.1f} MiB")
    print(f"  {CHECKSUMS} has the digest of every file; `gengap import {folder}` takes the results into a project.")


def files_of(folder: Path) -> Path:
    """The export in a published folder whose files are as its checksums say.

    Raises:
        UserError: If a file is missing or altered, or the folder was not published by gengap.
    """
    listed = folder / CHECKSUMS
    if not listed.is_file():
        raise UserError(f"{folder}: has no {CHECKSUMS}, so it is no folder that `gengap publish` wrote.")
    told = set()
    for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        path = folder / name
        told.add(path)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{listed}: names '{escaping.printable(name)}', which is not in this folder. Do not use it."
            )
        if not path.is_file() or _digest(path) != digest:
            raise UserError(f"{path}: is {'altered' if path.is_file() else 'missing'}. Get the folder again.")
    exports = sorted(folder.glob("*.h5"))
    if len(exports) != 1:
        raise UserError(f"{folder}: has {len(exports)} files with results instead of one. Get the folder again.")
    if exports[0] not in told:
        raise UserError(f"{exports[0]}: has no digest in {CHECKSUMS}, which is cut short. Get the folder again.")
    return exports[0]


def _write(study: Study, results: Results, folder: Path) -> int:
    """Fill the folder; how many networks have weights in it."""
    name = study.name
    exporting.export(Plan({name: study}, {}, imports.read()), name, folder / f"{name}.h5")
    shutil.copyfile(layout.study_file(name.removesuffix(REDUCED)), folder / "study.yaml")
    judged = len(storage.read_csv(layout.verdicts(name))) > 0
    for path in (layout.cells(name), *([layout.verdicts(name)] if judged else [])):
        shutil.copyfile(path, folder / path.name)
    for kind, suffixes in ((layout.figures(name), ("png", "pdf", "csv")), (layout.tables(name), ("csv", "md"))):
        for path in sorted(kind.iterdir()) if kind.is_dir() else ():
            if path.suffix[1:] in suffixes:
                (folder / kind.name).mkdir(exist_ok=True)
                shutil.copyfile(path, folder / kind.name / path.name)
    own = own_parts.files(study)
    for inside, path in own.items():
        (folder / "own_parts" / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "own_parts" / inside)
    networks = _weights(name, results, folder / WEIGHTS)
    texts = {
        path.name: path.read_text(encoding="utf-8").replace("STUDY", name)
        for path in (_TEMPLATES / "load.py", _TEMPLATES / "card.md")
    }
    storage.write_text(folder / "load.py", texts["load.py"])
    storage.write_text(folder / "README.md", _card(study, texts["card.md"], networks, judged=judged, own=bool(own)))
    storage.write_text(folder / "CITATION.cff", _citation(study))
    listed = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in listed]
    storage.write_text(folder / CHECKSUMS, "".join(lines))
    return networks


def _weights(study: str, results: Results, folder: Path) -> int:
    """The last weights of every cell, one file for each pack, with the settings that build the network."""
    from safetensors.numpy import save

    from gengap.engine import weights

    count = 0
    for pack, cells in results.cells.groupby("pack", sort=False):
        path = layout.weights(study, str(pack))
        if not path.exists():
            continue  # imported: an import has no weights
        tensors: dict[str, NDArray[np.generic]] = {}
        settings: dict[str, Any] = {}
        shape, outputs = (0, 0, 0), 0
        for cell in cells["cell"]:
            settings[cell], shape, outputs, state = weights.read_cell(path, cell)
            tensors |= {f"{cell}/{name}": value.numpy() for name, value in state.items()}
            count += 1
        facts = {"cells": json.dumps(settings), "image_shape": json.dumps(shape), "n_outputs": str(outputs)}
        storage.write_bytes(folder / f"{pack}.safetensors", save(tensors, facts))
    return count


def _card(study: Study, text: str, networks: int, *, judged: bool, own: bool) -> str:
    """The page of the folder, with the header that Hugging Face reads."""
    header = {"title": study.title, "tags": ["gengap", "model-zoo", "generalization"], "library_name": "gengap"}
    told = {
        "TITLE": study.title,
        "QUESTION": study.question,
        "SOURCE": f"Source: {study.source}." if study.source else "",
        "SETTINGS": "Reduced settings: they show which way the study points." if study.reduced else "",
        "NETWORKS": f"{networks:,}",
        ", VERDICTS": ", `verdicts.csv`" if judged else "",
        "OWN\n": "| `own_parts/` | its authors' code: read it, and put it beside `config/` |\n" if own else "",
    }
    text = re.sub("|".join(told), lambda word: escaping.printable(told[word[0]]), text)
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n{text}"


def _citation(study: Study) -> str:
    """What a citation needs; who publishes adds names and the archive's DOI."""
    content = {
        "cff-version": "1.2.0",
        "message": "Please cite this data set.",
        "type": "dataset",
        "title": study.title,
        "authors": [{"name": "The authors of this study"}],
    }
    return "# Replace the authors, and add the doi that the archive gives.\n" + yaml.safe_dump(content, sort_keys=False)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
