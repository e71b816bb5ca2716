"""Workaround: Snakemake does not quote the interpreter's path in shell commands, so a folder with a space breaks them.

See github.com/snakemake/snakemake/issues/2645.
"""

import shlex
import sys


def install() -> None:
    """Quote the path of the interpreter in this process of Snakemake."""
    (path,) = shlex.split(sys.executable) if sys.executable.startswith("'") else (sys.executable,)
    sys.executable = shlex.quote(path)
