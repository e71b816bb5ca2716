"""Where PyTorch's compiler keeps its code."""

import functools
import getpass
import os
import tempfile
from pathlib import Path

from gengap.logs import log

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


@functools.cache
def ensure() -> "tempfile.TemporaryDirectory[str] | None":
    """Name a private folder of this process where PyTorch's own cannot be made, and say so.

    To be called before any derivative: PyTorch makes the folder at the first one, compiled or not, and fails if it
    cannot. A folder that can be made and then turns out to be of no use concerns only who compiles.

    Returns:
        What removes the private folder when the process ends.
    """
    try:
        if (folder := os.environ.get(_VARIABLE)) is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        else:
            getpass.getuser()  # who is part of the default, in older versions of PyTorch always
    except (OSError, KeyError) as error:
        reason = f"{folder} cannot be made ({error})" if folder is not None else "this user has no name"
        log.warning("%s, so PyTorch's compiler keeps its code only for this process: set %s", reason, _VARIABLE)
        private = tempfile.TemporaryDirectory(prefix="gengap-inductor-")
        os.environ[_VARIABLE] = private.name
        return private
    return None
