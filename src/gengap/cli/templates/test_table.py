"""The table NAME on measurements made by hand."""

from pathlib import Path

import pandas as pd

from gengap.cli.templates.table import table
from gengap.evidence.measurements import Evidence

CELLS = pd.DataFrame(
    {"cell": list("abc"), "width": [2, 2, 3], "seed": [0, 1, 0], "status": ["finished", "dead", "finished"]}
)
EMPTY = pd.DataFrame()
EVIDENCE = Evidence({"name": "made", "axes": ["width", "seed"]}, CELLS, EMPTY, EMPTY, EMPTY, Path("made.h5"))


def test_one_row_per_width():
    assert table(EVIDENCE).to_dict("records") == [
        {"width": 2, "networks": 2, "finished": 1},
        {"width": 3, "networks": 1, "finished": 1},
    ]
