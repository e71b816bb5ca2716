"""Snakemake's records of the files that it made: from what, by which rule, when.

They are JSON files below ``.snakemake``, named by the made file's path in base64. Snakemake's own class for them makes
folders, and has another name and place in almost every release from 9.14 to 9.27, while the files kept their form; so
we read the files. The ``db`` backend has none, and `gengap.snakemake_support.install` refuses it.
"""

import contextlib
import json
import os
import tempfile
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gengap import layout


def read(path: Path, project: Path) -> dict[str, Any]:
    """The record of a file; empty if it was made without Snakemake, or its record is missing or damaged.

    Args:
        path: The file, from the project's top.
        project: The project's top.
    """
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(_record(project / layout.RECORDS, str(path)).read_text(encoding="utf-8")))
    return {}


def rename(project: Path, new_name: Callable[[str], str]) -> None:
    """Let all records and marks speak of files that have new names.

    Args:
        project: The project's top.
        new_name: The present name of a file by the one that was recorded; most stay.
    """
    for record, _ in _all(project / layout.RECORDS):
        with contextlib.suppress(ValueError):  # damaged: Snakemake takes no notice of it either
            text = record.read_text(encoding="utf-8")
            content = _renamed(json.loads(text), new_name)
            if content != json.loads(text):
                _write(record, json.dumps(content))
    for folder in (project / layout.RECORDS, project / layout.INCOMPLETE):
        for record, name in _all(folder):
            if new_name(name) != name:
                _move(record, _record(folder, new_name(name)))


def _renamed(record: dict[str, Any], new_name: Callable[[str], str]) -> dict[str, Any]:
    """A record with new names; Snakemake compares the inputs as a sorted list."""
    lists = {key: sorted(map(new_name, record[key])) for key in ("input", "log") if record.get(key)}
    checksums = {new_name(name): checksum for name, checksum in (record.get("input_checksums") or {}).items()}
    return {**record, **lists, "input_checksums": checksums}


def _all(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every record of a folder, and the name of the file that it is of."""
    for record in sorted(folder.rglob("*")):
        if record.is_file() and not record.name.startswith("."):
            encoded = "".join(part.removeprefix("@") for part in record.relative_to(folder).parts)
            with contextlib.suppress(ValueError):  # no record
                yield record, urlsafe_b64decode(encoded).decode()


def _record(folder: Path, name: str) -> Path:
    """The file of a record: its name in base64, in folders where a file name would be too long, as Snakemake has it."""
    text = urlsafe_b64encode(name.encode()).decode()
    direct = folder / text if len(text) <= 255 else None
    if direct is not None and direct.exists():
        return direct
    parts = [text[at : at + 254] for at in range(0, len(text), 254)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _move(record: Path, to: Path) -> None:
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        record.rename(to)


def _write(path: Path, text: str) -> None:
    """Replace a record at once, with the permissions that it has."""
    file, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).chmod(path.stat().st_mode)
    Path(name).replace(path)
