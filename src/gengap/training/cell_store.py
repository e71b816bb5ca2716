"""The store of finished cells: one file per identity, so that no study trains a cell that another has trained.

A file is written under a temporary name and renamed, so two jobs that finish the same cell at once leave one good copy.
"""

import contextlib
from pathlib import Path
from typing import Any

from gengap import layout
from gengap.errors import UnreadableError, UserError
from gengap.files import storage
from gengap.logs import log
from gengap.studies.settings import Cell
from gengap.training import serialization
from gengap.training.cell_result import CellResult

_DAMAGE = (UserError, ValueError, OSError, KeyError)  # what reading a damaged file may raise


def put(store: Path, result: CellResult) -> None:
    """Keep a finished cell, unless it is kept already."""
    path = layout.stored_cell(store, result.identity)
    if not path.exists():
        # Waiting for the disk a thousand times takes long. What a loss of power damages, its digest tells.
        with storage.writing(path, "cell", {}, sync=False) as file:
            serialization.write_results(file, [result])


def get(store: Path, identity: str, name: str, cell: Cell) -> CellResult | None:
    """Find a finished cell by its identity.

    Args:
        store: Folder of the store.
        identity: See `gengap.studies.identity.cell_identity`.
        name: The cell's name in the study at hand; another study may call it otherwise.
        cell: Its settings.

    Returns:
        The result, or None. A damaged entry is set aside with a warning, and counts as missing.

    Raises:
        UnreadableError: If the system cannot read an entry, which may be sound.
    """
    path = layout.stored_cell(store, identity)
    if not path.exists():
        return None
    try:
        with storage.reading(path, "cell") as file:
            result = serialization.read_results(file)[0]
        if result.identity != identity:
            raise ValueError(f"it holds the cell {result.identity}")
    except UnreadableError:
        raise
    except _DAMAGE as error:
        aside = path.with_suffix(".damaged")
        with contextlib.suppress(FileNotFoundError):  # another job has done so
            path.replace(aside)
        log.warning("%s is damaged (%s): set aside as %s, and the cell is trained again", path, error, aside.name)
        return None
    result.name, result.cell = name, cell
    return result


def is_whole(entry: Path) -> bool:
    """Whether an entry is what was written, by the digest that its records have of their own."""
    try:
        with storage.reading(entry, "cell") as file:
            return serialization.read_results(file)[0].identity == entry.stem
    except _DAMAGE:
        return False


def entries(store: Path) -> list[Path]:
    """Every finished cell's file; its stem is the cell's identity."""
    return sorted(layout.stored_cells(store).glob("*/*.h5"))


def settings(entry: Path) -> dict[str, Any] | None:
    """What `Cell.identity` gave for the cell that an entry keeps; None if the entry is damaged.

    Raises:
        UnreadableError: If the system cannot read it.
    """
    try:
        with storage.reading(entry, "cell") as file:
            return serialization.read_settings(file)[0]
    except UnreadableError:
        raise
    except _DAMAGE:
        return None
