"""Workaround: Snakemake puts the interpreter's path into shell commands as it is, and a folder's name may have spaces.

See github.com/snakemake/snakemake/issues/2645.
"""

import shlex
import sys


def install() -> None:
    """Quote the path of the interpreter in this process of Snakemake."""
    (path,) = shlex.split(sys.executable) if sys.executable.startswith("'") else (sys.executable,)
    sys.executable = shlex.quote(path)
