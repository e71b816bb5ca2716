"""The user's cache folder. Code that lies there is loaded, so nobody else may write it."""

import os
import stat
from pathlib import Path

from gengap.errors import UserError

_HOMELESS = "this user has no home folder. Set HOME or XDG_CACHE_HOME to a folder of yours."


def folder() -> Path:
    """``$XDG_CACHE_HOME/gengap``, or ``~/.cache/gengap``; made if missing, with mode 0700.

    Raises:
        UserError: If there is none, it cannot be written, belongs to another user, or others can write it.
    """
    path = _base() / "gengap"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be made ({error.strerror}). Set XDG_CACHE_HOME to a folder of yours."
        ) from error
    if status.st_uid != os.geteuid():
        raise UserError(f"{path}: belongs to another user. Remove it, or set XDG_CACHE_HOME to a folder of yours.")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(f"{path}: others can write it. Run `chmod 700 {path}` if you trust what is in it.")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written. Make it writable, or set XDG_CACHE_HOME to another folder.")
    return path


def _base() -> Path:
    """As the XDG Base Directory Specification says: a path that is not absolute does not count."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():
        return given
    if os.environ.get("HOME") == "":
        raise UserError(_HOMELESS)
    try:
        return Path.home() / ".cache"
    except RuntimeError as error:  # a user without a name, as in a container
        raise UserError(_HOMELESS) from error
