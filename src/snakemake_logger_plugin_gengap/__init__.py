"""Snakemake finds its logger plugins by the names of packages; the work is in `gengap.snakemake_support.console`.

It imports them before all else, so this is also where a user without a name gets one.
"""

from gengap.snakemake_support import user
from gengap.snakemake_support.console import LogHandler

__all__ = ["LogHandler"]

user.provide()
