"""What files were made from: Snakemake's records and what HDF5 files say of themselves, followed back to the data.

Snakemake's records are versioned with the results. Each says from which files a file was made, with the digest of each,
when, and how long it took.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.files import hdf5, storage
from gengap.snakemake_support import records


@dataclass(frozen=True)
class Made:
    """One file and what is known of it.

    Attributes:
        path: Where it is, from the project's top.
        inputs: The files that it was made from, with the digest that each had; empty if nothing was recorded.
        rule: The Snakemake rule that made it.
        started: When, in seconds of the epoch; None if not recorded.
        seconds: How long that took.
        kind: Of an HDF5 file, what it holds.
        attributes: Of an HDF5 file, what it says of itself.
    """

    path: Path
    inputs: Mapping[Path, str | None]
    rule: str
    started: float | None
    seconds: float
    kind: str
    attributes: Mapping[str, Any]

    @property
    def provenance(self) -> dict[str, Any]:
        """Settings, code, libraries, device; see `gengap.provenance.record`."""
        return dict(json.loads(self.attributes.get("provenance", "{}")))


def follow(path: Path, project: Path) -> dict[Path, Made]:
    """A file and everything that jobs made on the way to it, the file first."""
    found: dict[Path, Made] = {}
    waiting = [path]
    while waiting:
        at = waiting.pop(0)
        if at not in found and (project / at).exists():
            found[at] = read(at, project)
            waiting += [source for source in found[at].inputs if is_followed(source)]
    return found


def is_followed(path: Path) -> bool:
    """Whether a file is a step of a chain: what jobs made and what was imported, not code and published numbers."""
    return layout.is_made(path) or path.is_relative_to(layout.IMPORTS)


def read(path: Path, project: Path) -> Made:
    """What Snakemake's record and the file itself say."""
    record = records.read(path, project)
    digests = record.get("input_checksums") or {}
    attributes: dict[str, Any] = {}
    if path.suffix == ".h5":
        with hdf5.read(project / path) as file:
            attributes = dict(file.attrs)
            if "cells" in file and "status" in file["cells"]:
                attributes["cells"] = storage.read_table(file, "cells")["status"].value_counts().to_dict()
    started, ended = record.get("starttime"), record.get("endtime")
    return Made(
        path=path,
        inputs={Path(name): digests.get(name) for name in record.get("input") or ()},
        rule=record.get("rule", ""),
        started=started,
        seconds=(ended or 0.0) - (started or 0.0),
        kind=str(attributes.get("kind", "")),
        attributes=attributes,
    )


def changed(made: Made, project: Path) -> list[Path]:
    """The recorded inputs of a file that are gone or no longer have the content that it was made from."""
    return [path for path, digest in made.inputs.items() if digest and _digest(project / path) != digest]


def _digest(path: Path) -> str:
    """The digest of a file as Snakemake writes it; empty if there is no such file."""
    try:
        state = path.stat()
        return _content_digest(path, state.st_mtime_ns, state.st_size)
    except OSError:
        return ""


@functools.cache  # many packs are made from one file of data
def _content_digest(path: Path, time: int, size: int) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
