"""Snakemake finds its logger plugins by the names of packages; the work is in `gengap.snakemake_support.console`."""

from gengap.snakemake_support.console import LogHandler

__all__ = ["LogHandler"]
