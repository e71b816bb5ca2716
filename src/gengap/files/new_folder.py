"""A folder that a command makes for its user: whole, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gengap.errors import UserError


@contextmanager
def new_folder(folder: Path, command: str) -> Iterator[Path]:
    """A temporary folder beside `folder`, which takes its name at the end and is removed on failure.

    Args:
        folder: The final name; folders above it are made.
        command: Who makes it, for the message.

    Raises:
        UserError: If there is something of this name, or the folder cannot be made.
    """
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder}: exists already, and `{command}` replaces nothing. Name a new folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be made ({error.strerror}). Name a folder in one that you can write."
        ) from error
    umask = os.umask(0)
    os.umask(umask)
    try:
        yield building
        building.chmod(0o777 & ~umask)
        building.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: could not be written ({error.strerror}). Nothing of it was kept.") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
