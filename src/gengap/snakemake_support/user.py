"""A name and a home for a user who is a number only, as in a container: Snakemake asks for both.

Without any HOME, some versions of platformdirs stop Snakemake before it has read a plugin; the Makefile sets one.
"""

import os
import pwd
from pathlib import Path

from gengap import layout

HOME = layout.PRIVATE / "home"


def provide(project: Path | None = None) -> None:
    """Set USER and HOME where the system knows neither; a user whom it knows keeps theirs.

    Args:
        project: The project in which the home lies; None: the folder in which we are. No other folder gets one.
    """
    try:
        pwd.getpwuid(os.getuid())
        return
    except KeyError:
        os.environ.setdefault("USER", f"user{os.getuid()}")
    project = project or Path.cwd()
    home = os.environ.get("HOME")
    if (project / layout.STUDIES).is_dir() and not (home and os.access(home, os.W_OK)):
        os.environ["HOME"] = str(project / HOME)
