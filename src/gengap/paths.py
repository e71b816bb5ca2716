"""Where data are looked for. Names of results are spelled in the rules only."""

import os
from pathlib import Path

DATA_ROOT_VARIABLE = "GENGAP_DATA_ROOT"


def data_root(configured: str | Path) -> Path:
    """The folder of the raw datasets: `GENGAP_DATA_ROOT` if it is set, else the configured one."""
    return Path(os.environ.get(DATA_ROOT_VARIABLE) or configured).expanduser()
