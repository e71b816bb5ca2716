"""Published numbers as tables; `gengap.studies.published` says what a file of them holds."""

from pathlib import Path

import pandas as pd

from gengap.studies.published import COLUMNS, parse_selector, read_rows

__all__ = ["parse_selector", "read_published"]


def read_published(path: str | Path) -> pd.DataFrame:
    """Read a file of published numbers as a table of text; see `gengap.studies.published.read_rows`."""
    return pd.DataFrame(read_rows(Path(path)), columns=COLUMNS, dtype=object)
