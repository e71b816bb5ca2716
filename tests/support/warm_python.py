"""The Python by which tests start gengap, Snakemake and scripts: see `gengap.snakemake_support.warm_python`.

A process has another parent than its caller. So what is to be signalled, and what a test of other versions runs, uses
the real Python; with ``GENGAP_TEST_COLD=1`` all do.
"""

import functools
import os
import sys

from gengap.snakemake_support import warm_python


@functools.cache
def interpreter() -> str:
    """The program to be called in place of Python; its server starts with the first use, and ends with this process."""
    if os.environ.get("GENGAP_TEST_COLD"):
        return sys.executable
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return str(warm_python.start(sys.executable, environment, nested=True))
