"""Where data are looked for, and whether results can be written."""

import os
from pathlib import Path

from gengap.errors import UserError

DATA_ROOT_VARIABLE = "GENGAP_DATA_ROOT"


def data_root(configured: str | Path) -> Path:
    """The folder of the raw datasets: `GENGAP_DATA_ROOT` if it is set, else the configured one."""
    return Path(os.environ.get(DATA_ROOT_VARIABLE) or configured).expanduser()


def check_writable(folder: Path) -> None:
    """Find out before any job whether files can be made in a folder, which need not exist yet.

    Raises:
        UserError: If a file is in the way, or the folder cannot be written.
    """
    found = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not found.is_dir():
        raise UserError(f"{folder}: a file is in the way of this folder. Move it away.")
    if not os.access(found, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot be written. Make {found} writable, or run a copy of the project elsewhere.")
