"""Who may write the store of finished networks: whoever does can put numbers into everybody's results."""

import grp
import os
import pwd
import stat
from pathlib import Path

from gengap import layout
from gengap.errors import UserError


def make(store: Path, group: str = "") -> None:
    """Make the store's folders where they are missing, writable for the user and the group at most; then `check`."""
    for folder in _folders(store):
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o775, exist_ok=True)
    check(store, group)


def check(store: Path, group: str = "") -> None:
    """Refuse a store that somebody else can write. A store that is not there yet is fine.

    Args:
        store: Its folder.
        group: The group of users that share it; empty: only this user, and who owns the project, may write.

    Raises:
        UserError: If others can write it, or there is no such group.
    """
    members = _group(group) if group else None
    for folder in _folders(store):
        try:
            status = folder.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{folder}: cannot be read ({error.strerror}).") from error
        shared = status.st_gid == members
        if status.st_mode & stat.S_IWOTH:
            raise UserError(
                f"{folder}: everybody can write this store, and so your results. Run `chmod o-w {folder}`, or name "
                f"another store in {layout.CONFIG}."
            )
        if not shared and status.st_mode & stat.S_IWGRP and not _private(status.st_gid, status.st_uid):
            raise UserError(
                f"{folder}: the group {_group_name(status.st_gid)} can write this store, and so your results. If you "
                f"trust its members, write `store_group: {_group_name(status.st_gid)}` into {layout.CONFIG}; else run "
                f"`chmod g-w {folder}`."
            )
        if not shared and status.st_uid not in (0, os.geteuid(), Path.cwd().stat().st_uid):
            raise UserError(
                f"{folder}: this store belongs to {_user_name(status.st_uid)}, who can write your results with it. If "
                f"you share it, write the group that you both are in as `store_group` into {layout.CONFIG}; else name "
                "another store there."
            )


def _folders(store: Path) -> tuple[Path, ...]:
    return store, layout.stored_cells(store), layout.stored_measurements(store), layout.unfinished(store)


def _private(gid: int, uid: int) -> bool:
    """Whether a group is one user's own, as many systems give each user one."""
    try:
        found, user = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:  # in a container, numbers without names
        return gid == uid
    return user.pw_gid == gid and set(found.gr_mem) <= {user.pw_name} and found.gr_name == user.pw_name


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise UserError(
            f"{layout.CONFIG}: store_group: there is no group '{name}' on this machine. Write one of yours, as "
            "`id -Gn` names them."
        ) from error


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
