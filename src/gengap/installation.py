"""Where gengap is installed: its package, and its workflow, which a lab runs without having it.

A checkout has the workflow at its top; an installed gengap has a copy in the package (`setup.py`). A lab reaches both
through links, so that the names of a job's inputs stay the same wherever Python keeps its packages.
"""

import contextlib
import os
from pathlib import Path

from gengap import layout
from gengap.errors import UserError

PACKAGE = Path(__file__).resolve().parent
# The folder with the Snakefile, the rules, the profiles and the studies that come with gengap.
PROJECT = PACKAGE / "project" if (PACKAGE / "project").is_dir() else PACKAGE.parents[1]
SNAKEFILE = str(PROJECT / "Snakefile")


def link(project: Path = Path()) -> None:
    """Let a lab's links lead to the gengap that runs; a checkout needs none.

    Args:
        project: The project's top.

    Raises:
        UserError: If a link is wrong and cannot be written.
    """
    if (project / layout.PACKAGE).is_dir():
        return
    for name, target in ((layout.PACKAGE, PACKAGE), (layout.WORKFLOW, PROJECT / layout.WORKFLOW)):
        path = project / layout.INSTALLED / name
        if path.is_symlink() and path.readlink() == target:
            continue
        temporary = path.with_name(f".{path.name}-{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.symlink_to(target)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise UserError(
                f"{path}: cannot be linked to {target} ({error.strerror}). Make {layout.PRIVATE} writable."
            ) from error
