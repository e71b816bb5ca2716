"""The errors a user can cause: each is one message that says where, what, what is allowed and what to do."""

import difflib
import errno
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input. Shown as its message alone, never as a traceback."""


class UnreadableError(UserError):
    """The system could not read a file, which may be as sound as before: nothing that it holds is given up."""


# What the system refuses whatever the program: rights, space, a disk's error. Other numbers tell of a bug.
_REFUSALS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE),
    *(errno.ENFILE, errno.ENOLCK, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EBUSY, errno.ETIMEDOUT),
}


def refusal(error: OSError) -> UserError | None:
    """What to tell of an error of the system that no part of the program expected; None if it tells of a bug."""
    if error.errno not in _REFUSALS:
        return None
    place = f"{error.filename}: " if error.filename is not None else ""
    return UserError(f"{place}{error.strerror}. Nothing that was finished is lost: run the same again afterwards.")


def unknown_name(kind: str, name: object, allowed: Iterable[str], *, where: str = "") -> UserError:
    """Describe a name that does not exist, with the nearest one that does.

    Args:
        kind: What the name was taken for, e.g. ``"dataset"``.
        name: The name as the user wrote it.
        allowed: All names that exist.
        where: File and key, e.g. ``"config/studies/a.yaml: base.model.name"``; left out if empty.
    """
    choices = sorted(allowed)
    near = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    place = f"{where}: " if where else ""
    return UserError(f"{place}unknown {kind} '{name}'.{hint} Choose from: {', '.join(choices)}.")
