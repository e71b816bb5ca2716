"""The user's cache folder. Code that lies there is loaded, so nobody else may write it."""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def read(name: str, place: Path | None = None) -> dict[str, Any]:
    """What was kept under a name of a file; nothing where it cannot be read.

    Args:
        name: Of the file, which holds keys and values as JSON.
        place: Its folder; None: the user's cache folder.
    """
    try:
        known: dict[str, Any] = json.loads(((place or folder()) / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, UserError):  # also of a user without a home
        return {}
    return known if isinstance(known, dict) else {}


def write(name: str, known: Mapping[str, Any], place: Path | None = None) -> None:
    """Keep what was found, as `read` returns it; where it cannot be written, it is found again."""
    try:
        top = place or folder()
        top.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=top, prefix=f".{name}.", suffix=".part")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(known, file)
        Path(temporary).replace(top / name)
    except (OSError, UserError):
        return
