"""The errors a user can cause: each is one message that says where, what, what is allowed and what to do."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input. Only its message is shown, never a traceback."""


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
