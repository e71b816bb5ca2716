"""Paths as they were spelled until November 2026: ``packs/width=4,pack=0``, which is now ``packs/width=4_pack=0``.

Results of that time are renamed where they lie, once, and Snakemake's records with them. To be deleted in a year.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gengap.logs import log
from gengap.snakemake_support import records, run_lock

# What had commas, the inner names first. Everything below these folders that is named by cells was made by jobs.
_PATTERNS = (
    "data/prepared/*,*",
    "data/labelled/*/*,*",
    "data/labelled/*,*",
    "data/logs/prepare/*,*",
    "data/logs/label/*/*,*",
    "data/logs/label/*,*",
    "results/*/packs/*,*",
    "results/*/points/*,*",
    "results/*/logs/*/*,*",
)


def rename(project: Path = Path()) -> None:
    """Give files and folders of old results their present names, unless a run lives here; say so if there were any.

    What cannot be renamed stays, and is made again from the store of finished networks. Interrupted, it goes on the
    next time.
    """
    if not any(_waiting(project)):
        return
    with run_lock.alone(project) as alone:
        if not alone:
            log.info("Results with commas in their names stay as they are while another run is at work here.")
            return
        try:
            records.rename(project, current)
            moved = sum(_move(path) for path in _waiting(project))
        except OSError as error:
            log.warning("Results with commas in their names cannot be renamed: %s", error)
            return
    log.info("Renamed %d files and folders of earlier results: names of packs, points and data have no commas.", moved)


def current(path: str) -> str:
    """The present name of a file by the name that it had, both from the project's top."""
    parts = path.split("/")
    made = parts[:1] == ["data"] or (parts[:1] == ["results"] and parts[2:3] in (["packs"], ["points"], ["logs"]))
    fixed = 2 if parts[0] == "data" else 3
    return "/".join(parts[:fixed] + [part.replace(",", "_") for part in parts[fixed:]]) if made else path


def pack_folder(results: Path, pack: str) -> Path:
    """The folder of a pack by the name that measurements of any time have for it.

    Args:
        results: The study's folder of results, renamed or not.
        pack: The name.
    """
    old, new = results / "packs" / pack, results / "packs" / pack.replace(",", "_")
    return new if new.exists() or not old.exists() else old


def _waiting(project: Path) -> Iterator[Path]:
    for pattern in _PATTERNS:
        for path in sorted(project.glob(pattern)):
            if not _new(path).exists():
                yield path


def _new(path: Path) -> Path:
    return path.with_name(path.name.replace(",", "_"))


def _move(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        path.rename(_new(path))
        return True
    return False
