"""Snakemake's records of the files that it made: from what, by which rule, when.

They are JSON files below ``.snakemake``, named by the made file's path in base64. Snakemake's own class for them makes
folders, and has another name and place in almost every release from 9.14 to 9.27, while the files kept their form; so
we read the files. The ``db`` backend has none, and `gengap.snakemake_support.install` refuses it.

To each record we add what Snakemake leaves out, under the key ``gengap``: what the inputs and the output held. The last
thing in it is the digest of the whole record.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.errors import UserError

_DIGEST = re.compile(rb', "gengap_digest": "([0-9a-f]{64})"\}$')


def read(path: Path, project: Path) -> dict[str, Any]:
    """The record of a file; empty if it was made without Snakemake, or its record is missing.

    Args:
        path: The file, from the project's top.
        project: The project's top.

    Raises:
        UserError: If the record is damaged.
    """
    record = _record(project / layout.RECORDS, str(path))
    try:
        raw = record.read_bytes()
    except OSError:
        return {}
    if not _is_whole(raw):
        raise UserError(
            f"{record}: Snakemake's record of {path} is damaged. `gengap fsck --repair` sets it aside and has the file "
            "made again."
        )
    return dict(json.loads(raw))


def sealed(path: Path, project: Path = Path()) -> dict[str, Any]:
    """What `seal` added to the record of a file: ``inputs`` and ``output``; empty if nothing or it is damaged."""
    with contextlib.suppress(UserError):
        return dict(read(path, project).get("gengap") or {})
    return {}


def seal(path: Path, inputs: Mapping[str, str], output: str, project: Path = Path()) -> None:
    """Complete the record of a file that was just made, if there is one.

    Args:
        path: The file, from the project's top.
        inputs: The digest of what each input held.
        output: The digest of what the file itself holds.
        project: The project's top.
    """
    record = _record(project / layout.RECORDS, str(path))
    with contextlib.suppress(FileNotFoundError, ValueError):
        content = json.loads(record.read_text(encoding="utf-8"))
        content.pop("gengap_digest", None)
        text = json.dumps(content | {"gengap": {"inputs": dict(inputs), "output": output}})
        digest = hashlib.sha256(text.encode()).hexdigest()
        _write(record, f'{text[:-1]}, "gengap_digest": "{digest}"}}')


def everything(project: Path) -> Iterator[tuple[Path, Path]]:
    """Every record, and the file that it is of."""
    yield from ((record, Path(name)) for record, name in _all(project / layout.RECORDS))


def begun(project: Path) -> set[Path]:
    """The files whose job has begun and has not ended: it runs, or it failed, or it was killed."""
    return {Path(name) for _, name in _all(project / layout.INCOMPLETE)}


def damaged(project: Path) -> Iterator[tuple[Path, Path]]:
    """Every damaged record, and the file that it is of; one that a job is about to write is none."""
    for record, name in everything(project):
        if not _record(project / layout.INCOMPLETE, str(name)).exists():
            with contextlib.suppress(FileNotFoundError):
                if not _is_whole(record.read_bytes()):
                    yield record, name


def set_aside(record: Path, path: Path, project: Path) -> None:
    """Move a damaged record away, so that the file that it is of is made again.

    Args:
        record: The record.
        path: The file, from the project's top.
        project: The project's top.
    """
    aside = project / layout.DAMAGED / record.relative_to(project / layout.RECORDS)
    mark = _record(project / layout.INCOMPLETE, str(path))
    for one in (aside, mark):
        one.parent.mkdir(parents=True, exist_ok=True)
    if (project / path).exists():
        mark.write_text('{"external_jobid": null}', encoding="utf-8")
    record.replace(aside)


def _is_whole(raw: bytes) -> bool:
    """Whether a record is what was written; of one that was never sealed, whether it can be read."""
    if found := _DIGEST.search(raw):
        return hashlib.sha256(raw[: found.start()] + b"}").hexdigest().encode() == found[1]
    try:
        content = json.loads(raw)
    except ValueError:
        return False
    # A sealed record ends with its digest; where none is read, the digest itself is what was damaged.
    return isinstance(content, dict) and "gengap" not in content and "gengap_digest" not in content


def rename(project: Path, new_name: Callable[[str], str]) -> None:
    """Let all records and marks speak of files that have new names.

    Args:
        project: The project's top.
        new_name: The present name of a file by the one that was recorded; most stay.
    """
    for record, _ in _all(project / layout.RECORDS):
        with contextlib.suppress(ValueError):  # damaged: Snakemake takes no notice of it either
            before = json.loads(record.read_text(encoding="utf-8"))
            if (content := _renamed(before, new_name)) != before:
                _write(record, json.dumps({key: content[key] for key in content if not key.startswith("gengap")}))
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
