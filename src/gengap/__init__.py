"""A laboratory for which networks train, which generalise, and why."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gengap.results import Results

__all__ = ["load"]

# It would bring back HDF5's own locks, which fail where a file system has none; see `gengap.files.hdf5`.
os.environ.pop("HDF5_USE_FILE_LOCKING", None)


def load(folder: str | Path) -> Results:
    """Read the results of a study; see `gengap.results.load`."""
    # Imported on use: the workflow imports this package for every job, and needs neither pandas nor torch.
    from gengap import results

    return results.load(folder)
